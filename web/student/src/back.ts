/**
 * The back button of a phone closes the sheet that is open, before it leaves the page.
 *
 * Each open sheet has an entry of its own in the browser's history, a copy of its page's: to the router nothing moves
 * between them. An entry goes when its sheet is closed otherwise, so that one press more is never needed.
 */

import { nextTick } from 'vue'

type Close = () => void
const open: Close[] = []

/** Have back close this sheet, until `letGo` is called with the same. */
export function holdBack(close: Close): void {
  open.push(close)
  // #ifdef H5
  void settle()
  // #endif
}

/** The sheet is closed; a repeat changes nothing. */
export function letGo(close: Close): void {
  const at = open.indexOf(close)
  if (at < 0) return
  open.splice(at, 1)
  // #ifdef H5
  void settle()
  // #endif
}

/** Close every sheet; done when the history is the pages' alone again, and may be moved in. */
export async function freeBack(): Promise<void> {
  for (const close of open.splice(0)) close()
  // #ifdef H5
  await settle()
  // #endif
}

// #ifdef H5
const MARK = 'tuanziSheet'
// What no browser takes; a traversal that the browser drops must not hold up every page.
const BACK_MS_MAX = 1000
let entries = 0
let settling: Promise<void> | undefined
let arrived: (() => void) | undefined

function levelOf(state: unknown): number {
  return Number((state as Record<string, unknown> | null)?.[MARK] ?? 0)
}

/** Make as many entries as sheets are open. What closes one and opens another in the same moment moves nothing. */
function settle(): Promise<void> {
  settling ??= nextTick()
    .then(async () => {
      while (entries !== open.length) {
        if (entries < open.length) {
          entries += 1
          history.pushState({ ...history.state, [MARK]: entries }, '')
        } else {
          entries -= 1
          await goBackOnce()
        }
      }
    })
    .finally(() => (settling = undefined))
  return settling
}

function goBackOnce(): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, BACK_MS_MAX)
    function done() {
      clearTimeout(timer)
      arrived = undefined
      resolve()
    }
    arrived = done
    history.back()
  })
}

addEventListener('popstate', (event) => {
  if (arrived) {
    arrived()
    return
  }
  const level = levelOf(event.state)
  entries = Math.min(entries, level)
  if (level > open.length) history.back() // forward, to a sheet that is closed
  for (const close of open.splice(level)) close()
})

// A page that is read anew has no sheet open.
if (levelOf(history.state)) history.back()
// #endif
