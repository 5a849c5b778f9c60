/** Where each screen is; who is not signed in signs in first, and who may not open a screen is led to his own. */

import { createRouter, createWebHashHistory } from 'vue-router'
import { account, hasRole, type Role } from '@/account'
import { routes as operatorRoutes } from '@/operator/routes'
import { menuOfAccount } from '@/shell/menu'

declare module 'vue-router' {
  interface RouteMeta {
    /** Who may open it. */
    role?: Role
    /** Whether nobody needs to be signed in. */
    isOpen?: boolean
  }
}

export const router = createRouter({
  history: createWebHashHistory(),
  routes: [
    { path: '/sign-in', component: () => import('@/pages/SignIn.vue'), meta: { isOpen: true } },
    {
      path: '/',
      component: () => import('@/shell/AppShell.vue'),
      children: [
        { path: '', component: () => import('@/pages/Begin.vue') },
        { path: 'merchant', component: () => import('@/merchant/MerchantBoard.vue'), meta: { role: 'merchant' } },
        { path: 'rider', component: () => import('@/rider/RiderBoard.vue'), meta: { role: 'rider' } },
        { path: 'operator', children: operatorRoutes, meta: { role: 'operator' } },
        { path: ':any(.*)*', component: () => import('@/pages/Nothing.vue') },
      ],
    },
  ],
})

router.beforeEach((to) => {
  if (!to.meta.isOpen && !account.value) return { path: '/sign-in', query: { to: to.fullPath }, replace: true }
  if (to.path === '/' || (to.meta.role && !hasRole(to.meta.role))) {
    const first = menuOfAccount()[0]?.path ?? '/'
    return first === to.path ? true : { path: first, replace: true }
  }
  return true
})
