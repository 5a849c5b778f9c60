/** How money and times are shown; the only place that knows. Amounts are fen, times RFC 3339, the zone Asia/Shanghai. */

// China has had no summer time since 1991.
const SHANGHAI_MS = 8 * 3600_000

/** An amount, always with two decimals, so that columns line up: ¥12.80; thousands apart: ¥1,280.00. */
export function yuan(fen: number): string {
  const whole = String(Math.trunc(Math.abs(fen) / 100)).replace(/\B(?=(\d{3})+$)/g, ',')
  return `${fen < 0 ? '−' : ''}¥${whole}.${two(Math.abs(fen) % 100)}`
}

/** A count, thousands apart: 12,345. */
export function count(n: number): string {
  return String(n).replace(/\B(?=(\d{3})+$)/g, ',')
}

/** Time of day: 11:30. */
export function timeOfDay(at: string | number): string {
  const local = localDate(at)
  return `${two(local.getUTCHours())}:${two(local.getUTCMinutes())}`
}

/** Day and time: 11-26 11:30. */
export function dayAndTime(at: string | number): string {
  return `${day(at).slice(5)} ${timeOfDay(at)}`
}

/** The day: 2026-11-26. */
export function day(at: string | number): string {
  const local = localDate(at)
  return `${local.getUTCFullYear()}-${two(local.getUTCMonth() + 1)}-${two(local.getUTCDate())}`
}

/** What is left of a time: 4:07, or 1:04:07; never negative. */
export function countdown(ms: number): string {
  const left = Math.max(0, Math.ceil(ms / 1000))
  const [hours, minutes, seconds] = [Math.floor(left / 3600), Math.floor(left / 60) % 60, left % 60]
  return hours ? `${hours}:${two(minutes)}:${two(seconds)}` : `${minutes}:${two(seconds)}`
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

function localDate(at: string | number): Date {
  return new Date(toMs(at) + SHANGHAI_MS)
}

function two(n: number): string {
  return String(n).padStart(2, '0')
}
