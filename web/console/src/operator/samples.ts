/** Sample carts as operators put them together. */

import type { components } from '@client/schema'

type Body = components['schemas']['SampleBody']
/** A cart without its name, its time and what it must cost. */
export type Cart = Omit<Body, 'name' | 'priced_at' | 'expected_fen'>

/** A cart with nothing in it, in no group. */
export function blankSample(): Cart {
  return {
    lines: [],
    tier_size: 1,
    off_percent: 0,
    off_fen: 0,
    delivery_fee_fen: 0,
    fee_shares: 1,
    is_first_order: false,
    is_leader: false,
    is_dorm_head: false,
    building_id: '',
    coupon_off_fen: 0,
    coupon_threshold_fen: 0,
    coupon_merchant_id: null,
  }
}
