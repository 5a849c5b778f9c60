/** The operator's screens as the menu lists them; the first is where an operator begins. */

import {
  Connection,
  Discount,
  Finished,
  Goods,
  Odometer,
  Present,
  Share,
  Tickets,
  Timer,
  User,
} from '@element-plus/icons-vue'
import type { MenuEntry } from '@/shell/menu'

export const menu: MenuEntry[] = [
  { path: '/operator/overview', text: 'op.overview', icon: Odometer },
  { path: '/operator/orders', text: 'op.orders', icon: Tickets },
  { path: '/operator/groups', text: 'op.groups', icon: Connection },
  { path: '/operator/splits', text: 'op.splits', icon: Share },
  { path: '/operator/books', text: 'op.books', icon: Finished },
  { path: '/operator/rules', text: 'op.rules', icon: Discount },
  { path: '/operator/coupons', text: 'op.coupons', icon: Present },
  { path: '/operator/campaigns', text: 'op.campaigns', icon: Goods },
  { path: '/operator/terms', text: 'op.shopTerms', icon: Timer },
  { path: '/operator/people', text: 'op.people', icon: User },
]
