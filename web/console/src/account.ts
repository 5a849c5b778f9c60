/** Who is signed in in this browser; the token stays here and is sent to nobody but the API. */

import type { components } from '@client/schema'
import { computed, ref } from 'vue'

export type Role = components['schemas']['Role']
export type Account = Pick<
  components['schemas']['SessionOpened'],
  'token' | 'person_id' | 'roles' | 'campus_id' | 'merchant_id' | 'expires_at'
>

const PLACE = 'tuanzi.console.account'
const DEVICE_PLACE = 'tuanzi.console.device'
const CAMPUS_PLACE = 'tuanzi.console.campus'
const kept = ref<Account | null>(recall())
const chosenCampus = ref(localStorage.getItem(CAMPUS_PLACE) ?? '')

/** Who is signed in, or null. */
export const account = computed(() => kept.value)

/** The campus that is worked on: one's own, or the one that an operator of the platform has chosen. */
export const campusId = computed(() => kept.value?.campus_id ?? chosenCampus.value)

/** Whether somebody is signed in who may do this. */
export function hasRole(role: Role): boolean {
  return kept.value?.roles.includes(role) ?? false
}

/** Remember who signed in, or what became of his roles since. */
export function keepAccount({ token, person_id, roles, campus_id, merchant_id, expires_at }: Account): void {
  kept.value = { token, person_id, roles, campus_id, merchant_id, expires_at }
  localStorage.setItem(PLACE, JSON.stringify(kept.value))
}

/** What a sign-in with a phone gave this browser, to be shown when the next code is asked for; stays after signing out (0039). */
export function deviceMark(): string | null {
  const mark = localStorage.getItem(DEVICE_PLACE) ?? ''
  return /^[0-9a-f]{64}$/.test(mark) ? mark : null
}

/** Keep it. */
export function keepDevice(mark: string): void {
  if (mark) localStorage.setItem(DEVICE_PLACE, mark)
}

/** Nobody is signed in any more. */
export function forgetAccount(): void {
  kept.value = null
  localStorage.removeItem(PLACE)
}

/** Work on this campus from now on; of no effect on who belongs to one. */
export function chooseCampus(id: string): void {
  chosenCampus.value = id
  localStorage.setItem(CAMPUS_PLACE, id)
}

function recall(): Account | null {
  try {
    return JSON.parse(localStorage.getItem(PLACE) ?? 'null') as Account | null
  } catch {
    return null
  }
}
