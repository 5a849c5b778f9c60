/** A campaign as an operator types it, and which of its fields a refusal is about. Pure. */

import type { Refusal } from '@/api/client'
import type { Campaign } from '@/operator/campus'
import { fenOf, typed } from '@/operator/words'

export interface TierDraft {
  size: number
  percent: number
  off: string
}

/** Times are on the clock of Asia/Shanghai, amounts in yuan; both as typed. */
export interface CampaignDraft {
  id: string
  name_zh: string
  name_en: string
  tiers: TierDraft[]
  merchant_ids: string[]
  building_ids: string[]
  period_ids: Campaign['period_ids']
  starts: string
  ends: string
  group_lasts_minutes: number
  pay_within_s: number
  per_order_limit: number
  per_user_limit: number
  fee: string
  state: Campaign['state']
  guest_campuses: string[]
}

const SHANGHAI_MS = 8 * 3600_000
const WEEK_MS = 7 * 24 * 3600_000

/** An instant on Shanghai's clock, as `<input type="datetime-local">` has it. */
export function onShanghaisClock(ms: number): string {
  return new Date(ms + SHANGHAI_MS).toISOString().slice(0, 16)
}

/** A campaign to be changed, or a new one that begins now. */
export function draftOf(campaign: Campaign | undefined, now: number): CampaignDraft {
  if (!campaign)
    return {
      ...BLANK,
      tiers: [{ ...FIRST_TIER }],
      starts: onShanghaisClock(now),
      ends: onShanghaisClock(now + WEEK_MS),
    }
  const { tiers, starts_at, ends_at, delivery_fee_fen, ...same } = campaign
  return {
    ...same,
    merchant_ids: [...same.merchant_ids],
    building_ids: [...(same.building_ids ?? [])],
    period_ids: [...same.period_ids],
    guest_campuses: [...(same.guest_campuses ?? [])],
    state: same.state ?? 'draft',
    tiers: tiers.map(({ size, off_percent = 0, off_fen = 0 }) => ({ size, percent: off_percent, off: typed(off_fen) })),
    starts: onShanghaisClock(Date.parse(starts_at)),
    ends: onShanghaisClock(Date.parse(ends_at)),
    fee: typed(delivery_fee_fen),
  }
}

const FIRST_TIER: TierDraft = { size: 3, percent: 10, off: '0.00' }
const BLANK: CampaignDraft = {
  id: '',
  name_zh: '',
  name_en: '',
  tiers: [],
  merchant_ids: [],
  building_ids: [],
  period_ids: ['lunch'],
  starts: '',
  ends: '',
  group_lasts_minutes: 45,
  pay_within_s: 300,
  per_order_limit: 10,
  per_user_limit: 0,
  fee: '0.00',
  state: 'draft',
  guest_campuses: [],
}

/** What the API is sent, or the fields that are no amount or time; the rest is for the server to judge. */
export function campaignOf(draft: CampaignDraft): { campaign?: Campaign; unread: string[] } {
  const { tiers, starts, ends, fee, ...same } = draft
  const unread: string[] = []
  const amount = (text: string, field: string) => {
    const fen = fenOf(text)
    if (fen === undefined) unread.push(field)
    return fen ?? 0
  }
  const instant = (text: string, field: string) => {
    if (!text) unread.push(field)
    return `${text}:00+08:00`
  }
  const campaign: Campaign = {
    ...same,
    id: same.id.trim(),
    name_zh: same.name_zh.trim(),
    name_en: same.name_en.trim(),
    tiers: tiers.map(({ size, percent, off }, i) => ({
      size,
      off_percent: percent,
      off_fen: amount(off, `tiers.${i}.off_fen`),
    })),
    starts_at: instant(starts, 'starts_at'),
    ends_at: instant(ends, 'ends_at'),
    delivery_fee_fen: amount(fee, 'delivery_fee_fen'),
  }
  return unread.length ? { unread } : { campaign, unread }
}

/** The field a refusal is about, such as `tiers.1.off_fen`; '' when it is about none. */
export function fieldOf(refusal: Pick<Refusal, 'facts'>): string {
  const { field, at } = refusal.facts
  if (typeof field === 'string') return field.replaceAll('[', '.').replaceAll(']', '')
  return typeof at === 'string' && at.startsWith('/') ? at.slice(1).replaceAll('/', '.') : ''
}
