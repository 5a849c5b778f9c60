/** Hearing that something changed: by the live connection when there is one, else by asking again and again. */

import { onHide, onShow, onUnload } from '@dcloudio/uni-app'
import { onBack, reportRead } from '@/live/link'

const POLL_MS = 2500

/**
 * Keep what a page shows fresh: `read` is called when the page is shown, when the line is back, and then again and again.
 *
 * read: asks the server and says whether it answered.
 */
export function useFresh(read: () => Promise<boolean>): { again: () => void } {
  let timer: ReturnType<typeof setTimeout> | undefined
  let isShown = false
  let isReading = false

  async function turn() {
    clearTimeout(timer)
    if (isReading) return
    isReading = true
    try {
      reportRead(await read())
    } finally {
      isReading = false
    }
    if (isShown) timer = setTimeout(turn, POLL_MS)
  }

  const off = onBack(() => isShown && void turn())
  onShow(() => {
    isShown = true
    void turn()
  })
  onHide(() => {
    isShown = false
    clearTimeout(timer)
  })
  onUnload(() => {
    isShown = false
    clearTimeout(timer)
    off()
  })
  return { again: () => void turn() }
}
