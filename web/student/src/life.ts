/** The life of an order as a line of steps, and where on it an order is (B8). Pure. */

import type { components } from '@client/schema'

export type OrderState = components['schemas']['OrderState']

/** The steps of an order that goes well. */
export const STEPS = [
  'created',
  'paid',
  'grouped',
  'split',
  'accepted',
  'cooking',
  'picked_up',
  'delivered',
  'completed',
] as const

/** Orders that nothing more happens to. */
export const ENDED: readonly OrderState[] = ['completed', 'cancelled', 'refunded']

/** How far an order is along the steps; -1 when it left them: cancelled, or its money goes back. */
export function stepOf(state: OrderState): number {
  if (state === 'after_sale') return STEPS.indexOf('delivered')
  return (STEPS as readonly string[]).indexOf(state)
}

/** Which shelf of "my groups" an order is on. */
export function shelfOf(state: OrderState): 'filling' | 'coming' | 'done' | 'back' {
  if (state === 'created' || state === 'paid' || state === 'grouped') return 'filling'
  if (state === 'cancelled' || state === 'refunding' || state === 'refunded') return 'back'
  return state === 'completed' ? 'done' : 'coming'
}
