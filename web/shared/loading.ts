/** Something a page reads: what is known, what went wrong, and reading it again. */

import { onUnmounted, ref, shallowRef } from 'vue'

/** Read with `read`; an answer that was overtaken by a later one is dropped, a failure keeps what was known. */
export function useLoad<T>(read: () => Promise<T>) {
  const data = shallowRef<T>()
  const error = shallowRef<unknown>()
  const isLoading = ref(false)
  let turn = 0

  async function load(): Promise<T | undefined> {
    const mine = (turn += 1)
    isLoading.value = true
    try {
      const found = await read()
      if (mine !== turn) return undefined
      data.value = found
      error.value = undefined
      return found
    } catch (problem) {
      if (mine === turn) error.value = problem
      return undefined
    } finally {
      if (mine === turn) isLoading.value = false
    }
  }

  onUnmounted(() => (turn += 1))
  return { data, error, isLoading, load }
}
