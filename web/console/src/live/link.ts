/** Whether the line to the server is good: told by whoever reads, shown by one notice. */

import { computed, ref } from 'vue'

// Shorter cuts are not worth a word.
const LOST_AFTER_MS = 2000
let isBroken = false
const isLost = ref(false)
const backListeners = new Set<() => void>()
let timer: ReturnType<typeof setTimeout> | undefined

/** Whether people should be told that the line is cut. */
export const isCut = computed(() => isLost.value)

/** A read went well, or did not. */
export function reportRead(isGood: boolean): void {
  if (isGood) {
    const was = isBroken
    isBroken = false
    isLost.value = false
    clearTimeout(timer)
    if (was) for (const listener of backListeners) listener()
  } else if (!isBroken) {
    isBroken = true
    timer = setTimeout(() => (isLost.value = true), LOST_AFTER_MS)
  }
}

/** Call `listener` when the line is good again; gives what ends that. */
export function onBack(listener: () => void): () => void {
  backListeners.add(listener)
  return () => backListeners.delete(listener)
}
