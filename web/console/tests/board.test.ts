import {
  acceptBy,
  batchesOf,
  COLUMNS,
  dishesOf,
  fetchBy,
  mayReject,
  readyBy,
  stepOf,
  type Parcel,
  type SubOrder,
} from '@/merchant/board'
import { shortNumber } from '@/ticket'
import { describe, expect, it } from 'vitest'

function sub(id: string, facts: Partial<SubOrder> = {}): SubOrder {
  return {
    sub_order_id: `${id}.1`,
    order_id: id,
    building_id: 'dorm-1',
    state: 'planned',
    dishes: { rice: 1 },
    planned_at: '2026-11-23T04:00:00Z',
    ...facts,
  } as SubOrder
}

function parcel(sub_order_ids: string[], arrives_at: string, bundle_id: string | null = null): Parcel {
  return { sub_order_ids, arrives_at, bundle_id } as Parcel
}

describe('the columns of a shop’s board', () => {
  it('hold every state that is still of interest, each once', () => {
    expect(COLUMNS.flatMap(({ states }) => [...states])).toEqual([
      'planned',
      'accepted',
      'cooking',
      'ready',
      'picked_up',
    ])
  })

  it('offer the next step of each state, and no step that is another’s', () => {
    expect((['planned', 'accepted', 'cooking', 'ready', 'picked_up'] as const).map(stepOf)).toEqual([
      'accept',
      'cook',
      'ready',
      undefined,
      undefined,
    ])
    expect([mayReject('cooking'), mayReject('ready')]).toEqual([true, false])
  })
})

describe('what is ready', () => {
  it('is late to be fetched so many minutes after the first of its batch was ready, until a rider has it', () => {
    const on = (id: string, ready_at: string, is_ready = true) =>
      ({ ...parcel([`${id}.1`], '2026-11-23T05:00:00Z'), is_ready, ready_at }) as Parcel
    const subs = [sub('a', { state: 'ready' }), sub('b', { state: 'ready' }), sub('c', { state: 'ready' })]
    const parcels = [
      on('a', '2026-11-23T04:20:00Z'),
      on('b', '2026-11-23T04:10:00Z'),
      on('c', '2026-11-23T04:00:00Z', false),
    ]

    const [batch] = batchesOf(subs, parcels)
    const [fetched] = batchesOf([sub('a', { state: 'picked_up' })], parcels)

    expect(batch && fetchBy(batch, { fetch_minutes: 15 })).toBe(Date.parse('2026-11-23T04:25:00Z'))
    expect(fetched && fetchBy(fetched, { fetch_minutes: 15 })).toBeUndefined()
    expect(batchesOf(subs, []).map((one) => fetchBy(one, { fetch_minutes: 15 }))).toEqual([undefined])
  })
})

describe('what a shop has not accepted', () => {
  it('is late, and goes back, so many minutes after the oldest of its batch was split', () => {
    const subs = [sub('a', { planned_at: '2026-11-23T04:02:00Z' }), sub('b')]
    const terms = { late_minutes: 5, given_up_minutes: 20 }

    const by = batchesOf(subs, []).map((batch) => acceptBy(batch, terms))

    expect(by).toEqual([{ lateAt: Date.parse('2026-11-23T04:05:00Z'), givenUpAt: Date.parse('2026-11-23T04:20:00Z') }])
  })

  it('is none any more once it is accepted', () => {
    const accepted = batchesOf([sub('a', { state: 'accepted' })], [])

    expect(accepted.map((batch) => acceptBy(batch, { late_minutes: 5, given_up_minutes: 20 }))).toEqual([undefined])
  })
})

describe('what a shop has accepted', () => {
  it('is to be ready so many minutes after the oldest of its batch was split, and then it is no more', () => {
    const subs = (['planned', 'accepted', 'cooking', 'ready'] as const).map((state) => sub(state, { state }))
    subs.push(sub('older', { state: 'cooking', planned_at: '2026-11-23T03:58:00Z' }))

    const by = batchesOf(subs, []).map((batch) => [batch.state, readyBy(batch, { ready_minutes: 30 })])

    expect(Object.fromEntries(by)).toEqual({
      planned: undefined,
      accepted: Date.parse('2026-11-23T04:30:00Z'),
      cooking: Date.parse('2026-11-23T04:28:00Z'),
      ready: undefined,
    })
  })
})

describe('batches', () => {
  it('hold what goes to one building and is equally far', () => {
    const batches = batchesOf(
      [sub('a'), sub('b', { building_id: 'dorm-2' }), sub('c'), sub('d', { state: 'cooking' })],
      [],
    )

    expect(batches.map(({ key, subs }) => [key, subs.map(({ order_id }) => order_id)])).toEqual([
      ['cooking dorm-1', ['d']],
      ['planned dorm-1', ['a', 'c']],
      ['planned dorm-2', ['b']],
    ])
  })

  it('come with the earliest promise first, and say whether a rider comes', () => {
    const subs = [sub('a'), sub('b', { building_id: 'dorm-2' }), sub('c', { building_id: 'dorm-2' })]
    const parcels = [
      parcel(['a.1'], '2026-11-23T04:10:00Z'),
      parcel(['b.1'], '2026-11-23T04:20:00Z', 'b_1'),
      parcel(['c.1'], '2026-11-23T04:00:00Z'),
    ]

    expect(
      batchesOf(subs, parcels).map(({ buildingId, arrivesAt, hasRider }) => [buildingId, arrivesAt, hasRider]),
    ).toEqual([
      ['dorm-2', '2026-11-23T04:00:00Z', true],
      ['dorm-1', '2026-11-23T04:10:00Z', false],
    ])
  })

  it('count the portions of each dish, most first', () => {
    const subs = [sub('a', { dishes: { rice: 1, soup: 2 } }), sub('b', { dishes: { soup: 1, rice: 1, bun: 3 } })]

    expect(dishesOf(subs)).toEqual([
      ['bun', 3],
      ['soup', 3],
      ['rice', 2],
    ])
    expect(batchesOf(subs, [])[0]?.portions).toBe(8)
  })
})

describe('the short number of an order', () => {
  it('is the same for the order and for each of its sub-orders', () => {
    expect([shortNumber('o_01m8abcdef8f2k'), shortNumber('o_01m8abcdef8f2k.12')]).toEqual(['8F2K', '8F2K'])
  })
})
