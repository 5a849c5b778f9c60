/** What an offer comes to: prices at a tier, meals and their cut-off, which group is nearest to forming. Pure rules. */

import type { components } from '@client/schema'
import { localDayAndMinute } from '@/shown'

type Schemas = components['schemas']
export type Campaign = Schemas['CampaignEntry']
/** What one orders by, of a campaign or of a group that was opened in it. */
export type Terms = Pick<Campaign, 'name_zh' | 'name_en' | 'tiers' | 'delivery_fee_fen' | 'per_order_limit'>
export type Dish = Schemas['DishEntry']
export type Group = Schemas['GroupView']
export type GroupDetail = Schemas['GroupDetail']
export type Tier = Pick<Campaign['tiers'][number], 'size'> & { off_percent?: number; off_fen?: number }
export type Period = Schemas['MealPeriod']

/** A meal that can be ordered now. */
export interface MealNow {
  period: Period
  mealId: string
  closesInMs: number
}

const DAY = 1440

/** What one portion of a dish costs at a tier, before the shared delivery; as the server rounds: down, off the price. */
export function priceAt(dish: Pick<Dish, 'price_fen'>, tier: Tier): number {
  const percent = Math.floor((dish.price_fen * (tier.off_percent ?? 0)) / 100)
  return Math.max(0, dish.price_fen - percent - (tier.off_fen ?? 0))
}

/** The campaign in which this dish is cheapest at its smallest tier; undefined when none has it. */
export function bestCampaign(
  dish: Pick<Dish, 'merchant_id' | 'price_fen'>,
  campaigns: readonly Campaign[],
): Campaign | undefined {
  return campaigns
    .filter((one) => one.merchant_ids.includes(dish.merchant_id))
    .sort(
      (a, b) => priceAt(dish, firstTier(a)) - priceAt(dish, firstTier(b)) || firstTier(a).size - firstTier(b).size,
    )[0]
}

/** Campaigns that can be joined for this meal. */
export function campaignsFor(period: Period | undefined, campaigns: readonly Campaign[]): Campaign[] {
  return campaigns.filter((one) => period !== undefined && one.period_ids.includes(period.id))
}

/** The smallest tier: what must be reached. */
export function firstTier(campaign: { tiers: readonly Tier[] }): Tier {
  return campaign.tiers[0] ?? { size: 1 }
}

/** Seats that are still free. */
export function seatsLeft(group: Pick<Group, 'seats_max' | 'seats_taken'>): number {
  return Math.max(0, group.seats_max - group.seats_taken)
}

/** How many portions of a dish are left; of a set, as many as its scarcest part makes. `left`: of dishes asked for. */
export function portionsLeft(
  dish: Pick<Dish, 'id' | 'portions_per_meal' | 'items'>,
  left: ReadonlyMap<string, number>,
): number {
  const parts = dish.items.map((item) => Math.floor((left.get(item.dish_id) ?? Infinity) / item.quantity))
  return Math.min(left.get(dish.id) ?? dish.portions_per_meal ?? 0, ...parts)
}

/** Groups that one more person completes, the one that closes first in front. */
export function oneMissing(groups: readonly Group[]): Group[] {
  return groups
    .filter((group) => group.missing === 1 && seatsLeft(group) > 0)
    .sort((a, b) => a.closes_at.localeCompare(b.closes_at))
}

/** The open group of a campaign that is nearest to forming and has a seat. */
export function nearestGroup(campaign: Pick<Campaign, 'id'> | undefined, groups: readonly Group[]): Group | undefined {
  return groups
    .filter((group) => group.campaign_id === campaign?.id && seatsLeft(group) > 0)
    .sort((a, b) => a.missing - b.missing || a.closes_at.localeCompare(b.closes_at))[0]
}

/** The next tier that a group has not reached; undefined at the largest. */
export function nextTier(group: Pick<Group, 'tiers' | 'paid_count'>): Tier | undefined {
  return group.tiers.find((tier) => tier.size > group.paid_count)
}

/** The meal for which orders are taken now, with its id such as 2026-11-23.lunch; undefined between meals. */
export function mealNow(periods: readonly Period[], nowMs: number): MealNow | undefined {
  const [day, minute] = localDayAndMinute(nowMs)
  for (const period of periods) {
    const isToday = period.starts_minute <= minute && minute < period.cut_off_minute
    if (isToday || minute + DAY < period.cut_off_minute) {
      const began = isToday ? day : day - 1
      const closesAtMs = (began * DAY + period.cut_off_minute) * 60_000 - 8 * 3600_000
      const date = new Date(began * 86_400_000).toISOString().slice(0, 10)
      return { period, mealId: `${date}.${period.id}`, closesInMs: closesAtMs - nowMs }
    }
  }
  return undefined
}
