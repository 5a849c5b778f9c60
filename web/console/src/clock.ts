/** The server's time: every countdown goes by it, whatever this machine believes. One ticker serves all of them. */

import { onUnmounted, readonly, ref } from 'vue'
import { api, good } from '@/api/client'

const TICK_MS = 500
let offsetMs = 0
let users = 0
let ticker: ReturnType<typeof setInterval> | undefined
const ticking = ref(Date.now())

/** Ask the server what time it is; the answer is taken to be from the middle of the wait. Keeps the old on failure. */
export async function setClock(): Promise<void> {
  const asked = Date.now()
  try {
    const { now } = await good(api.GET('/v1/clock'))
    offsetMs = Date.parse(now) - (asked + Date.now()) / 2
    ticking.value = serverNow()
  } catch {
    // The next time the window is shown, or the connection is back, asks again.
  }
}

/** Now, as the server sees it, in ms since 1970. */
export function serverNow(): number {
  return Date.now() + offsetMs
}

/** A ref of the server's time that moves while the component is there. */
export function useNow() {
  users += 1
  ticking.value = serverNow()
  ticker ??= setInterval(() => (ticking.value = serverNow()), TICK_MS)
  onUnmounted(() => {
    users -= 1
    if (users === 0) {
      clearInterval(ticker)
      ticker = undefined
    }
  })
  return readonly(ticking)
}
