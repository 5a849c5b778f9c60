/** A short sound for a new order; only where the shop wants it, for browsers let no page make a noise unasked. */

import { readonly, ref } from 'vue'

const PLACE = 'tuanzi.console.chime'
const wanted = ref(localStorage.getItem(PLACE) === 'on')
let speaker: AudioContext | undefined

/** Whether new orders are to be heard. */
export const isChimeOn = readonly(wanted)

/** Make new orders heard, or not; to be called by a press, and heard at once. */
export function switchChime(): void {
  wanted.value = !wanted.value
  localStorage.setItem(PLACE, wanted.value ? 'on' : 'off')
  chime()
}

/** Two notes, when they are wanted. */
export function chime(): void {
  if (!wanted.value) return
  speaker ??= new AudioContext()
  void speaker.resume()
  for (const [i, hertz] of [880, 1174].entries()) {
    const tone = speaker.createOscillator()
    const volume = speaker.createGain()
    const from = speaker.currentTime + i * 0.18
    tone.frequency.value = hertz
    volume.gain.setValueAtTime(0.25, from)
    volume.gain.exponentialRampToValueAtTime(0.001, from + 0.35)
    tone.connect(volume).connect(speaker.destination)
    tone.start(from)
    tone.stop(from + 0.4)
  }
}
