/** Ways to pages, with what each needs to know. */

import { isSignedIn } from '@/account'
import { freeBack } from '@/back'
import { campusId } from '@/place'

type Words = Record<string, string | number | undefined>

/** To a page on top of this one. */
export const go = {
  signIn: (then = '') => open('signin', { then: then || undefined }),
  dish: (id: string) => open('dish', { id }),
  /** home: the campus whose group it is, when that is not mine. */
  menu: (campaign: string, group?: string, home?: string) => open('menu', { campaign, group, home }),
  checkout: () => open('checkout', {}),
  group: (id: string, more: Words = {}) => open('group', { campus: campusId.value, id, ...more }),
  order: (id: string) => open('order', { id }),
  privacy: () => open('privacy', {}),
}

/** In the place of this page, so that going back does not come here again. */
export function replaceWithGroup(id: string, more: Words = {}): void {
  const url = addressOf('group', { campus: campusId.value, id, ...more })
  void freeBack().then(() => uni.redirectTo({ url }))
}

/** To one of the three main pages. */
export function goMain(page: 'today' | 'mine' | 'me'): void {
  void freeBack().then(() => uni.switchTab({ url: `/pages/${page}/${page}` }))
}

/** Back, or home when this page was opened first. */
export function goBack(): void {
  if (getCurrentPages().length > 1) void freeBack().then(() => uni.navigateBack())
  else goMain('today')
}

/** Whether one may go on; else the sign-in page opens, from which one comes back here. */
export function mustSignIn(): boolean {
  if (isSignedIn.value) return false
  go.signIn()
  return true
}

function open(page: string, words: Words): void {
  void freeBack().then(() => uni.navigateTo({ url: addressOf(page, words) }))
}

function addressOf(page: string, words: Words): string {
  const query = Object.entries(words)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${encodeURIComponent(String(value))}`)
    .join('&')
  return `/pages/${page}/${page}${query && `?${query}`}`
}
