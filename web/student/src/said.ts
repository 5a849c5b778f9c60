/** What went wrong, in words for people; by the code of the problem document where this app has kinder words. */

import { Refusal } from '@/api/request'
import { isKey, language, t } from '@/locale'
import type { Tier } from '@/offers'
import { shortYuan } from '@/shown'

/** One sentence about an error. */
export function sayError(error: unknown): string {
  if (!(error instanceof Refusal)) return t('unreachable')
  if (!isKey(error.code)) return error.message
  const facts: Record<string, string | number> = {}
  for (const [name, fact] of Object.entries(error.facts)) {
    if (name.endsWith('_fen')) facts[name] = shortYuan(Number(fact))
    else if (typeof fact === 'string' || typeof fact === 'number') facts[name] = fact
  }
  return t(error.code, facts)
}

/** What a tier earns: 9 折 −¥1, or 10% off. */
export function sayOff(tier: Tier): string {
  const percent = tier.off_percent ?? 0
  const parts: string[] = []
  if (percent) parts.push(language.value === 'en' ? `${percent}% off` : `${(100 - percent) / 10} 折`)
  if (tier.off_fen) parts.push(`−${shortYuan(tier.off_fen)}`)
  return parts.join(' ')
}

/** A tier in one breath: 3 人 9 折. */
export function sayTier(tier: Tier): string {
  return `${t('peopleShort', { n: tier.size })} ${sayOff(tier)}`
}

/** A tag of a dish, which catalogs have in Chinese; one that this app has no word for is said as it is. */
export function sayTag(tag: string): string {
  const key = `tag-${tag}`
  return isKey(key) ? t(key) : tag
}

/** Show it for a moment. */
export function tell(text: string): void {
  uni.showToast({ title: text, icon: 'none', duration: 2600 })
}
