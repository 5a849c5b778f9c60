import { countdown, dayAndTime, minuteOfDay, shortYuan, timeOfDay, yuan } from '@/shown'
import { describe, expect, it } from 'vitest'

describe('money', () => {
  it('is shown to the fen, so that columns line up', () => {
    expect([0, 5, 99, 1280, 100_000].map(yuan)).toEqual(['¥0.00', '¥0.05', '¥0.99', '¥12.80', '¥1000.00'])
  })

  it('that goes away has a minus sign', () => {
    expect(yuan(-180)).toBe('−¥1.80')
  })

  it('is said as short as it can be, without losing a fen', () => {
    expect([500, 1280, 1205, 7].map(shortYuan)).toEqual(['¥5', '¥12.8', '¥12.05', '¥0.07'])
  })
})

describe('time', () => {
  it('is shown in Shanghai, wherever the phone is', () => {
    expect(timeOfDay('2026-11-23T03:30:00Z')).toBe('11:30')
    expect(dayAndTime('2026-11-23T16:05:00Z')).toBe('11-24 00:05')
  })

  it('that is left is rounded up and never negative', () => {
    expect([-5, 0, 1, 61_000, 3_600_000].map(countdown)).toEqual(['0:00', '0:00', '0:01', '1:01', '1:00:00'])
  })

  it('past midnight belongs to the next day', () => {
    expect([630, 1470, 1740].map(minuteOfDay)).toEqual(['10:30', '00:30', '05:00'])
  })
})
