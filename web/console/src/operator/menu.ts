/** The operator's screens as the menu lists them; the first is where an operator begins. */

import type { MenuEntry } from '@/shell/menu'

export const menu: MenuEntry[] = []
