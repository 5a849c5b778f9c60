/** What went wrong, in words for people; by the code of the problem document where the console has its own words. */

import { ElMessage } from 'element-plus'
import 'element-plus/es/components/message/style/css'
import { Refusal } from '@/api/client'
import { isKey, t } from '@/locale'
import { yuan } from '@/shown'

// Below the bar, which stays in reach.
const OFFSET_PX = 68

/** One sentence about an error. */
export function sayError(error: unknown): string {
  if (!(error instanceof Refusal)) return t('unreachable')
  const key = [`${error.code}.${String(error.facts.why)}`, error.code].find(isKey)
  if (!key) return error.message
  const facts: Record<string, string | number> = {}
  for (const [name, fact] of Object.entries(error.facts)) {
    if (name.endsWith('_fen')) facts[name] = yuan(Number(fact))
    else if (Array.isArray(fact)) facts[name] = fact.join(', ')
    else if (typeof fact === 'string' || typeof fact === 'number') facts[name] = fact
  }
  return t(key, facts)
}

/** What stands beside the field that an error is about, which needs no name there; else the sentence about it. */
export function sayBeside(error: unknown): string {
  const errors = error instanceof Refusal ? error.facts.errors : undefined
  const first: unknown = Array.isArray(errors) ? errors[0] : undefined
  const said = typeof first === 'object' && first !== null && 'detail' in first ? first.detail : undefined
  return typeof said === 'string' && said ? said : sayError(error)
}

/** Show for a moment that something was done. */
export function tell(text: string): void {
  ElMessage({ message: text, type: 'success', plain: true, grouping: true, offset: OFFSET_PX })
}

/** Show for a moment what went wrong. */
export function tellError(error: unknown): void {
  ElMessage({ message: sayError(error), type: 'error', plain: true, grouping: true, duration: 5000, offset: OFFSET_PX })
}
