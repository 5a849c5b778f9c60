/** A wish to join, on its way from the checkout to the group's page, which shows the seat before the answer is there. */

import type { CartLine } from '@/cart'

export interface Wish {
  groupId: string
  lines: CartLine[]
  couponId: string | null
  /** Where it is brought, when that is not the group's own building. */
  buildingId?: string
}

let wish: Wish | undefined

/** Keep a wish for the group's page. */
export function wishToJoin(wanted: Wish): void {
  wish = wanted
}

/** The wish for this group, once. */
export function takeWish(groupId: string): Wish | undefined {
  const found = wish?.groupId === groupId ? wish : undefined
  if (found) wish = undefined
  return found
}
