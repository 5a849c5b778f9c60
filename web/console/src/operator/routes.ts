/** The operator's screens, as children of /operator. */

import type { RouteRecordRaw } from 'vue-router'
import '@/operator/operator.css'

export const routes: RouteRecordRaw[] = [
  { path: '', redirect: '/operator/overview' },
  { path: 'overview', component: () => import('@/operator/screens/Overview.vue') },
  { path: 'orders', component: () => import('@/operator/screens/Orders.vue') },
  { path: 'orders/:id', component: () => import('@/operator/screens/Order.vue'), props: true },
  { path: 'groups', component: () => import('@/operator/screens/Groups.vue') },
  { path: 'groups/:id', component: () => import('@/operator/screens/Group.vue'), props: true },
  { path: 'splits', component: () => import('@/operator/screens/Splits.vue') },
  { path: 'splits/:id', component: () => import('@/operator/screens/Split.vue'), props: true },
  { path: 'books', component: () => import('@/operator/screens/Books.vue') },
  { path: 'rules', component: () => import('@/operator/screens/Rules.vue') },
  { path: 'coupons', component: () => import('@/operator/screens/Coupons.vue') },
  { path: 'campaigns', component: () => import('@/operator/screens/Campaigns.vue') },
  { path: 'terms', component: () => import('@/operator/screens/Terms.vue') },
  { path: 'people', component: () => import('@/operator/screens/People.vue') },
]
