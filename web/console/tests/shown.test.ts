import { count, countdown, day, dayAndTime, localDayAndMinute, timeOfDay, yuan } from '@/shown'
import { describe, expect, it } from 'vitest'

describe('money', () => {
  it('is shown to the fen, thousands apart, so that columns line up', () => {
    expect([0, 5, 99, 1280, 100_000, 123_456_789].map(yuan)).toEqual([
      '¥0.00',
      '¥0.05',
      '¥0.99',
      '¥12.80',
      '¥1,000.00',
      '¥1,234,567.89',
    ])
  })

  it('that goes away has a minus sign', () => {
    expect(yuan(-180)).toBe('−¥1.80')
  })
})

describe('counts', () => {
  it('have their thousands apart', () => {
    expect([0, 999, 1000, 1_234_567].map(count)).toEqual(['0', '999', '1,000', '1,234,567'])
  })
})

describe('time', () => {
  it('is shown in Shanghai, wherever the machine is', () => {
    expect(timeOfDay('2026-11-23T03:30:00Z')).toBe('11:30')
    expect(dayAndTime('2026-11-23T16:05:00Z')).toBe('11-24 00:05')
    expect(day('2026-12-31T16:00:00Z')).toBe('2027-01-01')
    expect(localDayAndMinute(Date.parse('2026-11-23T16:05:00Z'))[1]).toBe(5)
  })

  it('that is left is rounded up and never negative', () => {
    expect([-5, 0, 1, 61_000, 3_600_000].map(countdown)).toEqual(['0:00', '0:00', '0:01', '1:01', '1:00:00'])
  })
})
