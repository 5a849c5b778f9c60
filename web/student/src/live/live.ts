/** Keeping what a page shows fresh: by the live connection when there is one, else by asking again and again. */

import { onHide, onShow, onUnload } from '@dcloudio/uni-app'
import { watch } from 'vue'
import { hear, isLive, watchGroup, type Message, type Picture } from '@/live/connection'
import { onBack } from '@/live/link'

const POLL_MS = 2500
// With a live connection too: whatever was missed is seen soon.
const POLL_LIVE_MS = 15_000
const SPREAD_MS = 800

export interface Fresh {
  /** Read again now. */
  again: () => void
  /** Have `look` see the pictures of this group; where it says so, read again, though not everybody at once. */
  follow: (groupId: string, look: (picture: Picture) => boolean) => void
}

/**
 * Call `read` when the page is shown, when the line is back, when something that concerns it is told, and now and then.
 *
 * concerns: whether a message of one's own stream is about what the page shows.
 */
export function useFresh(read: () => Promise<void>, concerns: (message: Message) => boolean): Fresh {
  let timer: ReturnType<typeof setTimeout> | undefined
  let isShown = false
  let isReading = false
  let isWanted = false
  let unwatch: (() => void) | undefined

  async function turn() {
    clearTimeout(timer)
    if (isReading) {
      isWanted = true
      return
    }
    isReading = true
    isWanted = false
    await read()
    isReading = false
    if (isShown) later(isWanted ? 0 : isLive.value ? POLL_LIVE_MS : POLL_MS)
  }

  function later(ms: number) {
    clearTimeout(timer)
    timer = setTimeout(turn, ms)
  }

  const again = () => void turn()
  const ends = [
    onBack(() => isShown && again()),
    hear((message) => isShown && concerns(message) && again()),
    watch(isLive, () => isShown && again()),
  ]
  onShow(() => {
    isShown = true
    again()
  })
  onHide(() => {
    isShown = false
    clearTimeout(timer)
  })
  onUnload(() => {
    isShown = false
    clearTimeout(timer)
    unwatch?.()
    for (const end of ends) end()
  })

  return {
    again,
    follow(groupId, look) {
      unwatch?.()
      unwatch = watchGroup(groupId, (picture) => {
        if (look(picture) && isShown) later(Math.random() * SPREAD_MS)
      })
    },
  }
}
