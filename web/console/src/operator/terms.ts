/** How long shops may take, as an operator writes it, and as the server takes it. Pure. */

import type { components } from '@client/schema'

export type Terms = components['schemas']['AcceptanceSet']
export type Term = keyof Terms
export type TermsDraft = Record<Term, string>

export const TERMS = ['late_minutes', 'given_up_minutes', 'ready_minutes'] as const satisfies readonly Term[]
const MINUTES_MAX = 1440

/** What is in force, to be changed. */
export function draftOf(terms: Terms): TermsDraft {
  return {
    late_minutes: String(terms.late_minutes),
    given_up_minutes: String(terms.given_up_minutes),
    ready_minutes: String(terms.ready_minutes),
  }
}

/** The terms that a draft is, or the fields that are none: whole minutes of a day, and time between late and given up. */
export function termsOf(draft: TermsDraft): { terms?: Terms; unread: Term[] } {
  const late_minutes = minutesOf(draft.late_minutes)
  const given_up_minutes = minutesOf(draft.given_up_minutes)
  const ready_minutes = minutesOf(draft.ready_minutes)
  const unread = TERMS.filter((term) => minutesOf(draft[term]) === undefined)
  if (late_minutes && given_up_minutes && given_up_minutes <= late_minutes) unread.push('given_up_minutes')
  if (unread.length || !late_minutes || !given_up_minutes || !ready_minutes) return { unread }
  return { terms: { late_minutes, given_up_minutes, ready_minutes }, unread }
}

/** Whether both are the same. */
export function areSame(one: Terms, other: Terms): boolean {
  return TERMS.every((term) => one[term] === other[term])
}

function minutesOf(text: string): number | undefined {
  const n = /^\d{1,4}$/.test(text.trim()) ? Number(text) : 0
  return n >= 1 && n <= MINUTES_MAX ? n : undefined
}
