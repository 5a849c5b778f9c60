/** Doing something again and again while a page is looked at. */

import { onHide, onShow, onUnload } from '@dcloudio/uni-app'

/** Call `act` now and every `everyMs` while the page is shown; the next wait begins when the last call is done. */
export function useRepeat(act: () => Promise<unknown>, everyMs: number): void {
  let timer: ReturnType<typeof setTimeout> | undefined
  let isShown = false

  async function turn() {
    await act()
    if (isShown) timer = setTimeout(turn, everyMs)
  }

  function stop() {
    isShown = false
    clearTimeout(timer)
  }

  onShow(() => {
    stop()
    isShown = true
    void turn()
  })
  onHide(stop)
  onUnload(stop)
}
