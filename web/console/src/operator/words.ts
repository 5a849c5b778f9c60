/** Words for what the API calls by a name of its own: states, events, accounts; ids short enough to be read. */

import { isKey, language, t } from '@/locale'
import { yuan } from '@/shown'

/** The word for one of a set, such as word('order', 'picked_up'); the name itself where the console has none. */
export function word(set: string, name: string | null | undefined): string {
  if (!name) return ''
  const key = `op.${set}.${name}`
  return isKey(key) ? t(key) : name
}

/** Why a difference ended: the word for it, or how a person says that money was dealt with, and what he wrote. */
export function endingOf(reason: string): string {
  const [, how = '', text = ''] = /^(paid_otherwise|booked_back|write_off): (.*)$/s.exec(reason) ?? []
  return how ? t('op.endedHow', { how: word('aside', how), text }) : word('reason', reason)
}

/** An id as people tell it apart: its kind and its last six characters. */
export function shortId(id: string): string {
  return id.length <= 12 ? id : `${id.slice(0, id.indexOf('_') + 1)}…${id.slice(-6)}`
}

export type Tone = 'good' | 'bad' | 'busy' | 'calm'

const TONES: Record<string, Tone> = {
  closed: 'good',
  confirmed: 'good',
  posted: 'good',
  completed: 'good',
  delivered: 'good',
  live: 'good',
  settled: 'good',
  repaired: 'good',
  success: 'good',
  captured: 'good',
  failed: 'bad',
  cancelled: 'bad',
  refunded: 'bad',
  refused: 'bad',
  rejected: 'bad',
  after_sale: 'bad',
  voided: 'bad',
  suspended: 'bad',
  open: 'busy',
  trying: 'busy',
  confirming: 'busy',
  cancelling: 'busy',
  refunding: 'busy',
  created: 'busy',
  registered: 'busy',
}

/** How a state is coloured; the word beside it says the same. */
export function toneOf(state: string): Tone {
  return TONES[state] ?? 'calm'
}

/** An account's name and whose it is: `merchant_payable:bj-m01` as ['merchant_payable', 'bj-m01']. */
export function accountOf(account: string): [string, string] {
  const [name = '', owner = ''] = account.split(':', 2)
  return [name, owner]
}

/** So many ms as people say it: 840 ms, 12.3 s, 4 min. */
export function lasting(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`
  if (ms < 120_000) return `${(ms / 1000).toFixed(1)} s`
  if (ms < 7_200_000) return `${Math.round(ms / 60_000)} min`
  return `${Math.round(ms / 3_600_000)} h`
}

/** What a tier takes off: 12%, or 12% and ¥1.00. */
export function tierSaid(tier: { size: number; off_percent?: number; off_fen?: number }): string {
  const { size, off_percent: percent = 0, off_fen = 0 } = tier
  return off_fen ? t('op.tierSaid', { size, percent, off: yuan(off_fen) }) : t('op.tierPercent', { size, percent })
}

/** What took something off a price: a rule by its title, else what it is called everywhere. */
export function ruleTitle(rules: readonly { id: string; title_zh: string; title_en: string }[], id: string): string {
  const rule = rules.find((one) => one.id === id)
  return rule ? (language.value === 'en' ? rule.title_en : rule.title_zh) : word('ruleName', id)
}

/** Yuan as an operator types them, in fen; undefined when it is no amount. */
export function fenOf(text: string): number | undefined {
  const found = /^(\d{1,6})(?:\.(\d{1,2}))?$/.exec(text.trim())
  return found ? Number(found[1]) * 100 + Number((found[2] ?? '').padEnd(2, '0')) : undefined
}

/** Fen as an operator types them: 12.80. */
export function typed(fen: number): string {
  return (fen / 100).toFixed(2)
}
