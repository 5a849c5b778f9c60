import {
  bestCampaign,
  mealNow,
  nearestGroup,
  nextTier,
  oneMissing,
  portionsLeft,
  priceAt,
  type Campaign,
  type Group,
  type Period,
} from '@/offers'
import { describe, expect, it } from 'vitest'

const LUNCH: Period = {
  id: 'lunch',
  name_zh: '午餐',
  name_en: 'Lunch',
  starts_minute: 600,
  cut_off_minute: 810,
  ends_minute: 840,
}
const NIGHT: Period = {
  id: 'night',
  name_zh: '夜宵',
  name_en: 'Night',
  starts_minute: 1230,
  cut_off_minute: 1470,
  ends_minute: 1530,
}
const at = (time: string) => Date.parse(`${time}+08:00`)

function campaign(id: string, tiers: { size: number; off_percent: number; off_fen: number }[]): Campaign {
  return { id, merchant_ids: ['m1'], tiers } as Campaign
}

function group(id: string, facts: Partial<Group>): Group {
  return {
    group_id: id,
    campaign_id: 'c',
    missing: 1,
    seats_max: 3,
    seats_taken: 2,
    closes_at: '2026-11-23T04:00:00Z',
    ...facts,
  } as Group
}

describe('the price at a tier', () => {
  it('rounds the percentage down to the fen, as the server does', () => {
    expect(priceAt({ price_fen: 601 }, { size: 3, off_percent: 10 })).toBe(541)
  })

  it('takes percent and amount off, and never goes below zero', () => {
    expect(priceAt({ price_fen: 1800 }, { size: 5, off_percent: 15, off_fen: 100 })).toBe(1430)
    expect(priceAt({ price_fen: 200 }, { size: 5, off_fen: 300 })).toBe(0)
  })

  it('is best in the campaign that takes most off at its smallest tier', () => {
    const small = campaign('small', [{ size: 3, off_percent: 10, off_fen: 0 }])
    const large = campaign('large', [{ size: 10, off_percent: 20, off_fen: 200 }])

    expect(bestCampaign({ merchant_id: 'm1', price_fen: 1800 }, [small, large])?.id).toBe('large')
    expect(bestCampaign({ merchant_id: 'm2', price_fen: 1800 }, [small, large])).toBeUndefined()
  })
})

describe('the meal that can be ordered', () => {
  it('is the one of this minute, with its day', () => {
    const meal = mealNow([LUNCH, NIGHT], at('2026-11-23T11:40:00'))

    expect(meal?.mealId).toBe('2026-11-23.lunch')
    expect(meal?.closesInMs).toBe(110 * 60_000)
  })

  it('of the night goes on after midnight and keeps the day on which it began', () => {
    expect(mealNow([LUNCH, NIGHT], at('2026-11-24T00:10:00'))?.mealId).toBe('2026-11-23.night')
  })

  it('is none between meals, and at the very cut-off', () => {
    expect(mealNow([LUNCH, NIGHT], at('2026-11-23T13:30:00'))).toBeUndefined()
    expect(mealNow([LUNCH, NIGHT], at('2026-11-23T13:29:59'))?.mealId).toBe('2026-11-23.lunch')
  })
})

describe('groups', () => {
  it('that miss one come with the nearest deadline first, and only with a free seat', () => {
    const groups = [
      group('late', { closes_at: '2026-11-23T05:00:00Z' }),
      group('full', { seats_taken: 3 }),
      group('two', { missing: 2 }),
      group('soon', {}),
    ]

    expect(oneMissing(groups).map((one) => one.group_id)).toEqual(['soon', 'late'])
  })

  it('are near when they miss few', () => {
    const groups = [group('far', { missing: 2 }), group('near', {}), group('other', { campaign_id: 'd' })]

    expect(nearestGroup({ id: 'c' }, groups)?.group_id).toBe('near')
  })

  it('have a next tier until the largest is reached', () => {
    const tiers = [{ size: 3 }, { size: 5 }] as Group['tiers']

    expect(nextTier({ tiers, paid_count: 3 })?.size).toBe(5)
    expect(nextTier({ tiers, paid_count: 5 })).toBeUndefined()
  })
})

describe('a set of dishes', () => {
  const set = {
    id: 'set',
    portions_per_meal: 50,
    items: [
      { dish_id: 'tea', quantity: 1 },
      { dish_id: 'cake', quantity: 2 },
    ],
  }

  it('is left as often as its scarcest part makes it', () => {
    expect(
      portionsLeft(
        set,
        new Map([
          ['tea', 9],
          ['cake', 5],
        ]),
      ),
    ).toBe(2)
    expect(
      portionsLeft(
        set,
        new Map([
          ['set', 1],
          ['cake', 5],
        ]),
      ),
    ).toBe(1)
  })

  it('and any other dish are left as they were made, until somebody asks', () => {
    expect(portionsLeft(set, new Map())).toBe(50)
    expect(portionsLeft({ id: 'tea', portions_per_meal: 7, items: [] }, new Map([['tea', 0]]))).toBe(0)
  })
})
