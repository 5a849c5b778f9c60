/** What the pages say, in both languages. Plain text with {holes}; vue-i18n loses its holes in the mini program. */

import { fill } from '@shared/texts'
import { readonly, ref } from 'vue'
import { en } from '@/locale/en'
import { zh } from '@/locale/zh-CN'

export type Key = keyof typeof zh
export type Language = 'zh-CN' | 'en'

const PLACE = 'tuanzi.language'
const chosen = ref<Language>('zh-CN')

/** The language in use. */
export const language = readonly(chosen)

/** The text of a key, its holes filled. */
export function t(key: Key, holes: Record<string, string | number> = {}): string {
  return fill((chosen.value === 'en' ? en : zh)[key], holes)
}

/** Whether there is a text for this key. */
export function isKey(key: string): key is Key {
  return key in zh
}

/** The name of something that has one in each language. */
export function named(thing: { name_zh: string; name_en: string } | undefined): string {
  if (!thing) return ''
  return chosen.value === 'en' ? thing.name_en : thing.name_zh
}

/** Speak this language from now on. */
export function speak(wanted: Language): void {
  chosen.value = wanted
  uni.setStorageSync(PLACE, wanted)
  // #ifdef H5
  document.documentElement.lang = wanted
  // #endif
}

/** Speak the language that was chosen last, else the phone's. */
export function recallLanguage(): void {
  const last = uni.getStorageSync(PLACE) as Language | ''
  speak(last || (uni.getLocale().startsWith('zh') ? 'zh-CN' : 'en'))
}
