/** Who is signed in on this phone; the token stays here and is sent to nobody but the API. */

import { computed, ref } from 'vue'
import type { Answer } from '@/api/request'

export type Account = Pick<Answer<'post', '/v1/sessions'>, 'token' | 'person_id' | 'campus_id' | 'expires_at'>

const PLACE = 'tuanzi.account'
const DEVICE = 'tuanzi.device'
const MARK = /^[0-9a-f]{64}$/
const kept = ref<Account | null>((uni.getStorageSync(PLACE) || null) as Account | null)

/** Whether somebody is signed in. */
export const isSignedIn = computed(() => kept.value !== null)

/** Who is signed in, or null. */
export function accountOf(): Account | null {
  return kept.value
}

/** Remember who signed in. */
export function keepAccount({ token, person_id, campus_id, expires_at }: Account): void {
  kept.value = { token, person_id, campus_id, expires_at }
  uni.setStorageSync(PLACE, kept.value)
}

/** What a sign-in with a phone gave this device, to be shown when the next code is asked for; stays after signing out (0039). */
export function deviceMark(): string | null {
  const kept: unknown = uni.getStorageSync(DEVICE)
  return typeof kept === 'string' && MARK.test(kept) ? kept : null
}

/** Keep it. */
export function keepDevice(mark: string): void {
  if (mark) uni.setStorageSync(DEVICE, mark)
}

/** Nobody is signed in any more. */
export function forgetAccount(): void {
  kept.value = null
  uni.removeStorageSync(PLACE)
}
