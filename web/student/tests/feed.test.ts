import { feedBetween, feedOf } from '@/live/feed'
import type { GroupDetail } from '@/offers'
import { describe, expect, it } from 'vitest'

const seat = (since: string, state: 'held' | 'paid' = 'held') => ({ since, state, is_leader: false, is_mine: false })

function group(version: number, facts: Partial<GroupDetail>): GroupDetail {
  return {
    version,
    state: 'open',
    opened_at: '2026-11-23T03:00:00Z',
    paid_count: 0,
    seats: [],
    ...facts,
  } as GroupDetail
}

describe('the feed of a group', () => {
  it('begins with what the seats tell, oldest first', () => {
    const lines = feedOf(group(3, { seats: [seat('2026-11-23T03:00:01Z'), seat('2026-11-23T03:05:00Z')] }))

    expect(lines.map((line) => [line.key, line.n])).toEqual([
      ['feedOpened', 0],
      ['feedSeat', 1],
      ['feedSeat', 2],
    ])
  })

  it('tells who came, who paid and that the group formed', () => {
    const before = group(3, { seats: [seat('a', 'paid'), seat('b')], paid_count: 1 })
    const after = group(6, {
      seats: [seat('a', 'paid'), seat('b', 'paid'), seat('c', 'paid')],
      paid_count: 3,
      state: 'formed',
    })

    expect(feedBetween(before, after, 7).map((line) => [line.key, line.n])).toEqual([
      ['feedSeat', 3],
      ['feedPaid', 3],
      ['feedFormed', 3],
    ])
  })

  it('says that it formed even when it was closed before anybody looked again', () => {
    const lines = feedBetween(group(3, {}), group(9, { state: 'closed', paid_count: 5 }), 7)

    expect(lines.map((line) => line.key)).toEqual(['feedPaid', 'feedFormed', 'feedClosed'])
  })

  it('tells who left', () => {
    const lines = feedBetween(group(3, { seats: [seat('a'), seat('b')] }), group(4, { seats: [seat('b')] }), 7)

    expect(lines.map((line) => [line.key, line.n])).toEqual([['feedLeft', 1]])
  })

  it('never goes backwards: an older look says nothing', () => {
    expect(feedBetween(group(5, { paid_count: 2 }), group(4, { paid_count: 3 }), 7)).toEqual([])
    expect(feedBetween(group(5, {}), group(5, { paid_count: 3 }), 7)).toEqual([])
  })
})
