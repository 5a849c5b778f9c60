/** A grant of coupons as an operator writes it, and as the server takes it. Pure. */

import type { components } from '@client/schema'
import { onShanghaisClock } from '@/operator/campaign'
import { fenOf } from '@/operator/words'

export type Grant = components['schemas']['GrantBody']
export interface GrantDraft {
  grantId: string
  off: string
  threshold: string
  expires: string
  merchantId: string
  memberIds: readonly string[]
}

/** Of one grant so many people at most, each one coupon. */
export const MEMBERS_MAX = 200
const OFF_FEN_MAX = 100_000
const DAY_MS = 86_400_000
const LASTS_DAYS = 7

/** A new grant, named for its minute, for a week. */
export function newGrant(now: number): GrantDraft {
  return {
    grantId: `c-${onShanghaisClock(now).replace(/\D/g, '')}`,
    off: '3.00',
    threshold: '0.00',
    expires: onShanghaisClock(now + LASTS_DAYS * DAY_MS),
    merchantId: '',
    memberIds: [],
  }
}

/** The grant that a draft is, or the fields that are none. */
export function grantOf(draft: GrantDraft): { grant?: Grant; unread: (keyof GrantDraft)[] } {
  const off = fenOf(draft.off)
  const threshold = fenOf(draft.threshold)
  const unread: (keyof GrantDraft)[] = []
  if (!/^[a-z0-9][a-z0-9_-]{0,23}$/.test(draft.grantId)) unread.push('grantId')
  if (!off || off > OFF_FEN_MAX) unread.push('off')
  if (threshold === undefined) unread.push('threshold')
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d/.test(draft.expires)) unread.push('expires')
  if (!draft.memberIds.length || draft.memberIds.length > MEMBERS_MAX) unread.push('memberIds')
  if (unread.length || !off || threshold === undefined) return { unread }
  const grant: Grant = {
    grant_id: draft.grantId,
    member_ids: [...draft.memberIds],
    off_fen: off,
    threshold_fen: threshold,
    expires_at: `${draft.expires.slice(0, 16)}:00+08:00`,
    merchant_id: draft.merchantId || null,
  }
  return { grant, unread }
}
