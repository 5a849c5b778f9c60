/** Price rules that are taken from one campus to another; each campus has versions of its own. */

import type { components } from '@client/schema'
import { shallowRef } from 'vue'

type Version = components['schemas']['VersionView']

/** A version on its way to the campus that is worked on next, and where it is from. */
export const carried = shallowRef<{ version: Version; from: string }>()

/** What a version names that a campus does not have, each once, in order: a rule that asks for it never applies there. */
export function strangersIn(version: Pick<Version, 'rules' | 'samples'>, isKnown: (id: string) => boolean): string[] {
  const named = version.rules.flatMap((rule) => [
    rule.merchant_id,
    rule.set_meal_id,
    ...(rule.dish_ids ?? []),
    ...quotedIn(rule.condition ?? ''),
    ...quotedIn(rule.amount),
  ])
  for (const sample of version.samples) {
    named.push(sample.building_id, sample.coupon_merchant_id)
    for (const line of sample.lines) named.push(line.merchant_id, line.dish_id, line.set_meal_id)
  }
  return [...new Set(named)].filter((id): id is string => !!id && !isKnown(id))
}

/** The texts in an expression: "bj-dorm-01" of `building_id == "bj-dorm-01"`. */
function quotedIn(expression: string): string[] {
  return [...expression.matchAll(/"([^"]*)"|'([^']*)'/g)].map(([, double, single]) => double ?? single ?? '')
}
