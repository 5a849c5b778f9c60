/** How money and times are shown; the only place that knows. Amounts are fen, times RFC 3339, the zone Asia/Shanghai. */

// China has had no summer time since 1991, and phones' script engines may lack Intl.
const SHANGHAI_MS = 8 * 3600_000

/** An amount, always with two decimals, so that columns line up: ¥12.80. */
export function yuan(fen: number): string {
  const whole = Math.trunc(Math.abs(fen) / 100)
  const rest = String(Math.abs(fen) % 100).padStart(2, '0')
  return `${fen < 0 ? '−' : ''}¥${whole}.${rest}`
}

/** An amount as short as it can be said in a sentence or on a button: ¥5, ¥12.8. */
export function shortYuan(fen: number): string {
  return yuan(fen)
    .replace(/\.00$/, '')
    .replace(/(\.\d)0$/, '$1')
}

/** Time of day: 11:30. */
export function timeOfDay(at: string | number): string {
  const local = new Date(toMs(at) + SHANGHAI_MS)
  return `${two(local.getUTCHours())}:${two(local.getUTCMinutes())}`
}

/** Day and time: 11-26 11:30. */
export function dayAndTime(at: string | number): string {
  const local = new Date(toMs(at) + SHANGHAI_MS)
  return `${two(local.getUTCMonth() + 1)}-${two(local.getUTCDate())} ${timeOfDay(at)}`
}

/** What is left of a time: 4:07, or 1:04:07; never negative. */
export function countdown(ms: number): string {
  const left = Math.max(0, Math.ceil(ms / 1000))
  const [hours, minutes, seconds] = [Math.floor(left / 3600), Math.floor(left / 60) % 60, left % 60]
  return hours ? `${hours}:${two(minutes)}:${two(seconds)}` : `${minutes}:${two(seconds)}`
}

/** Minutes of a local day as time of day: 810 is 13:30, and 1470 is 00:30 of the next day. */
export function minuteOfDay(minute: number): string {
  return `${two(Math.floor(minute / 60) % 24)}:${two(minute % 60)}`
}

/** Days since 1970 and minute of the day in Shanghai. */
export function localDayAndMinute(ms: number): [number, number] {
  const minutes = Math.floor((ms + SHANGHAI_MS) / 60_000)
  return [Math.floor(minutes / 1440), minutes % 1440]
}

/** A time in ms since 1970. */
export function toMs(at: string | number): number {
  return typeof at === 'number' ? at : Date.parse(at)
}

function two(n: number): string {
  return String(n).padStart(2, '0')
}
