/** The operator's screens, as children of /operator. */

import type { RouteRecordRaw } from 'vue-router'

export const routes: RouteRecordRaw[] = []
