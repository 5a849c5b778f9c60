/** Groups of other campuses, in which one may be a guest: with dishes of one's own campus, brought to one's own building (B7). */

import { accountOf } from '@/account'
import { ask, type Answer } from '@/api/request'
import type { GroupDetail, Terms } from '@/offers'

export type NeighbourGroup = Answer<'get', '/v1/campuses/{campus}/neighbours/{home}/groups/{group_id}'>

/** The campus as another one than that of who is signed in; '' when it is his, or nobody is. */
export function asNeighbour(campus: string): string {
  const mine = accountOf()?.campus_id
  return mine && mine !== campus ? campus : ''
}

/** A group of the campus `home`, for a student of `campus`. Raises Unreachable, Refusal where it takes no guests of his. */
export function lookAt(campus: string, home: string, group_id: string): Promise<NeighbourGroup> {
  return ask('get', '/v1/campuses/{campus}/neighbours/{home}/groups/{group_id}', { path: { campus, home, group_id } })
}

/** Whether this is a whole group of another campus, and not a group of mine or the part of one. */
export function isNeighbour(group: GroupDetail): group is NeighbourGroup {
  return 'home_zh' in group
}

/** What a guest orders by, in place of a campaign, which he cannot look up. */
export function termsOf(group: NeighbourGroup): Terms {
  const { campaign_zh, campaign_en, tiers, delivery_fee_fen, per_order_limit } = group
  return { name_zh: campaign_zh, name_en: campaign_en, tiers, delivery_fee_fen, per_order_limit }
}
