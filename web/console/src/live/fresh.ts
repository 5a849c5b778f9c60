/** Keeping what a screen shows fresh: by the live connection when there is one, else by asking again and again. */

import { onUnmounted, watch } from 'vue'
import { hear, hearStream, isLive, type Message } from '@/live/connection'
import { onBack } from '@/live/link'

const POLL_MS = 2500
// With a live connection too: whatever was missed is seen soon.
const POLL_LIVE_MS = 30_000
// Several messages that come at once are one reason to read.
const GATHER_MS = 120

export interface Concerns {
  /** Whether a message of one's own stream is about what the screen shows. */
  mine?: (message: Message) => boolean
  /** A stream that others hear too, and whether a message of it is. */
  stream?: string
  told?: (message: Message) => boolean
}

/**
 * Call `read` now, when the line or the window is back, when something that concerns it is told, and now and then.
 * Gives what reads again now. For use in setup.
 */
export function useFresh(read: () => Promise<unknown>, concerns: Concerns): () => Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined
  let isReading = false
  let isWanted = false
  let isOver = false

  async function turn(): Promise<void> {
    clearTimeout(timer)
    if (isOver) return
    if (isReading) {
      isWanted = true
      return
    }
    isReading = true
    isWanted = false
    await read()
    isReading = false
    later(isWanted ? 0 : isLive.value ? POLL_LIVE_MS : POLL_MS)
  }

  function later(ms: number): void {
    clearTimeout(timer)
    if (!isOver && !document.hidden) timer = setTimeout(turn, ms)
  }

  const soon = () => (isReading ? (isWanted = true) : later(GATHER_MS))
  const again = () => void turn()
  const whenShown = () => !document.hidden && again()
  const ends = [
    onBack(again),
    watch(isLive, again),
    hear((message) => concerns.mine?.(message) && soon()),
    ...(concerns.stream
      ? [hearStream(concerns.stream, (message) => concerns.told?.(message) !== false && soon())]
      : []),
  ]
  document.addEventListener('visibilitychange', whenShown)
  onUnmounted(() => {
    isOver = true
    clearTimeout(timer)
    document.removeEventListener('visibilitychange', whenShown)
    for (const end of ends) end()
  })
  again()
  return turn
}
