/** What the console says, in both languages: one module of texts for each area, plain text with {holes}. */

import { fill } from '@shared/texts'
import { readonly, ref } from 'vue'
import * as boards from '@/locale/boards'
import * as operator from '@/locale/operator'
import * as shell from '@/locale/shell'

export type Language = 'zh-CN' | 'en'
export type Key = keyof typeof shell.zh | keyof typeof boards.zh | keyof typeof operator.zh

const PLACE = 'tuanzi.console.language'
const TEXTS: Record<Language, Record<string, string>> = {
  'zh-CN': { ...shell.zh, ...boards.zh, ...operator.zh },
  en: { ...shell.en, ...boards.en, ...operator.en },
}
const chosen = ref<Language>('zh-CN')

/** The language in use. */
export const language = readonly(chosen)

/** The text of a key, its holes filled. */
export function t(key: Key, holes: Record<string, string | number> = {}): string {
  return fill(TEXTS[chosen.value][key] ?? key, holes)
}

/** Whether there is a text for this key. */
export function isKey(key: string): key is Key {
  return key in TEXTS['zh-CN']
}

/** The name of something that has one in each language. */
export function named(thing: { name_zh: string; name_en: string } | undefined): string {
  if (!thing) return ''
  return chosen.value === 'en' ? thing.name_en : thing.name_zh
}

/** Speak this language from now on. */
export function speak(wanted: Language): void {
  chosen.value = wanted
  localStorage.setItem(PLACE, wanted)
  document.documentElement.lang = wanted
  document.title = t('console')
}

/** Speak the language that was chosen last, else the browser's. */
export function recallLanguage(): void {
  const last = localStorage.getItem(PLACE) as Language | null
  speak(last ?? (navigator.language.startsWith('zh') ? 'zh-CN' : 'en'))
}
