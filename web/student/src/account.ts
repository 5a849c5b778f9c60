/** Who is signed in on this phone; the token stays here and is sent to nobody but the API. */

import { computed, ref } from 'vue'
import type { Answer } from '@/api/request'

export type Account = Pick<Answer<'post', '/v1/sessions'>, 'token' | 'person_id' | 'campus_id' | 'expires_at'>

const PLACE = 'tuanzi.account'
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

/** Nobody is signed in any more. */
export function forgetAccount(): void {
  kept.value = null
  uni.removeStorageSync(PLACE)
}
