/** What a campus offers, whole: a campus may have more dishes and shops than a page of the API has. */

import { everyPage } from '@shared/pages'
import { ask, type Answer } from '@/api/request'

export type DishOffer = Answer<'get', '/v1/campuses/{campus}/dishes'>['items'][number]
export type Merchant = Answer<'get', '/v1/campuses/{campus}/merchants'>['items'][number]
type Coupon = Answer<'get', '/v1/campuses/{campus}/coupons'>['items'][number]

const LIMIT = 100

/** Every dish of a campus, and whether it can be ordered now. Raises Unreachable, Refusal. */
export function dishesOf(campus: string): Promise<DishOffer[]> {
  return everyPage((after) =>
    ask('get', '/v1/campuses/{campus}/dishes', { path: { campus }, query: { limit: LIMIT, after } }),
  )
}

/** Every shop of a campus. Raises Unreachable, Refusal. */
export function merchantsOf(campus: string): Promise<Merchant[]> {
  return everyPage((after) =>
    ask('get', '/v1/campuses/{campus}/merchants', { path: { campus }, query: { limit: LIMIT, after } }),
  )
}

/** My coupons that can be used now. Raises Unreachable, Refusal. */
export async function usableCoupons(campus: string): Promise<Coupon[]> {
  const all = await everyPage((after) =>
    ask('get', '/v1/campuses/{campus}/coupons', { path: { campus }, query: { limit: LIMIT, after } }),
  )
  return all.filter((one) => one.is_usable)
}

/** How many portions are left of each dish that somebody asked for, for a meal. Raises Unreachable, Refusal. */
export async function portionsOf(campus: string, meal_id: string): Promise<ReadonlyMap<string, number>> {
  const all = await everyPage((after) =>
    ask('get', '/v1/campuses/{campus}/meals/{meal_id}/portions', {
      path: { campus, meal_id },
      query: { limit: LIMIT, after },
    }),
  )
  return new Map(all.map((one) => [one.dish_id, one.is_closed ? 0 : one.left]))
}
