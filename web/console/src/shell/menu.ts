/** What the menu lists, by role. */

import { Bicycle, KnifeFork } from '@element-plus/icons-vue'
import type { Component } from 'vue'
import { hasRole } from '@/account'
import type { Key } from '@/locale'
import { menu as operatorMenu } from '@/operator/menu'

export interface MenuEntry {
  path: string
  text: Key
  icon: Component
}

/** All that whoever is signed in may open, in order; the first is where he begins. */
export function menuOfAccount(): MenuEntry[] {
  return [
    ...(hasRole('merchant') ? [{ path: '/merchant', text: 'merchantBoard' as const, icon: KnifeFork }] : []),
    ...(hasRole('rider') ? [{ path: '/rider', text: 'riderBoard' as const, icon: Bicycle }] : []),
    ...(hasRole('operator') ? operatorMenu : []),
  ]
}
