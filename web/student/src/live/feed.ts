/** What has just happened in a group, told by the difference between how it was and how it is. Pure. */

import type { Key } from '@/locale'
import type { GroupDetail } from '@/offers'
import { toMs } from '@/shown'

export interface FeedLine {
  atMs: number
  key: Key
  n: number
}

/** How it came to this, as far as the seats tell; oldest first. */
export function feedOf(group: GroupDetail): FeedLine[] {
  const seats = group.seats.map((seat, i) => ({ atMs: toMs(seat.since), key: 'feedSeat' as const, n: i + 1 }))
  return [{ atMs: toMs(group.opened_at), key: 'feedOpened' as const, n: 0 }, ...seats].sort((a, b) => a.atMs - b.atMs)
}

/** What changed from one look to the next; nothing when the second is not newer. */
export function feedBetween(before: GroupDetail, after: GroupDetail, nowMs: number): FeedLine[] {
  const lines: FeedLine[] = []
  const say = (key: Key, n: number, atMs = nowMs) => lines.push({ atMs, key, n })
  if (after.version <= before.version) return lines
  const known = new Set(before.seats.map((seat) => seat.since))
  after.seats.forEach((seat, i) => {
    if (!known.has(seat.since)) say('feedSeat', i + 1, toMs(seat.since))
  })
  const gone = before.seats.filter((seat) => !after.seats.some((each) => each.since === seat.since)).length
  if (gone) say('feedLeft', gone)
  if (after.paid_count > before.paid_count) say('feedPaid', after.paid_count)
  if (after.state !== before.state) {
    const ends = { open: undefined, formed: 'feedFormed', closed: 'feedClosed', failed: 'feedFailed' } as const
    if (before.state === 'open' && after.state === 'closed') say('feedFormed', after.paid_count)
    const end = ends[after.state]
    if (end) say(end, after.paid_count)
  }
  return lines
}
