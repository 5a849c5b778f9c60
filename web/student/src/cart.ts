/** The cart: dishes of one campaign, to open a group with or to join one. */

import type { components } from '@client/schema'
import { computed, ref } from 'vue'

export type CartLine = components['schemas']['CartLineBody']

/** A cart on its way to a seat. */
export interface Cart {
  campaignId: string
  groupId?: string
  /** The campus whose group it is, when that is not mine. */
  homeId?: string
  lines: CartLine[]
}

const EMPTY: Cart = { campaignId: '', lines: [] }
const PLACE = 'tuanzi.cart'
// Our choice: longer than it takes to ask a friend what he wants, shorter than to the next meal.
const KEPT_MS = 2 * 3600_000
const cart = ref<Cart>(recall())

/** What is in the cart now. */
export const current = computed(() => cart.value)

/** How many portions are in the cart. */
export const portions = computed(() => cart.value.lines.reduce((sum, line) => sum + line.quantity, 0))

/** Begin a cart for a campaign, or for a group of it, or of another campus; what was chosen in the same campaign stays. */
export function begin(campaignId: string, groupId?: string, homeId?: string): void {
  const isSame = cart.value.campaignId === campaignId && cart.value.homeId === homeId
  const lines = isSame ? cart.value.lines : []
  keep({
    campaignId,
    lines,
    ...(groupId === undefined ? {} : { groupId }),
    ...(homeId === undefined ? {} : { homeId }),
  })
}

/** So many portions of a dish; none takes it out. */
export function put(dishId: string, quantity: number, addon = false): void {
  const others = cart.value.lines.filter((line) => line.dish_id !== dishId)
  const line: CartLine = { dish_id: dishId, quantity, set_meal_id: null, addon }
  const at = cart.value.lines.findIndex((one) => one.dish_id === dishId)
  if (quantity > 0) others.splice(at < 0 ? others.length : at, 0, line)
  keep({ ...cart.value, lines: others })
}

/** How many portions of a dish are in the cart. */
export function countOf(dishId: string): number {
  return cart.value.lines.find((line) => line.dish_id === dishId)?.quantity ?? 0
}

/** Empty the cart. */
export function clear(): void {
  keep(EMPTY)
}

/** What was chosen before the page was read anew: a phone ends pages that it does not show. */
function recall(): Cart {
  const kept = uni.getStorageSync(PLACE) as { cart: Cart; atMs: number } | ''
  return kept && Date.now() - kept.atMs < KEPT_MS ? kept.cart : EMPTY
}

function keep(chosen: Cart): void {
  cart.value = chosen
  uni.setStorageSync(PLACE, { cart: chosen, atMs: Date.now() })
}
