import { readyOf, stageOf, stopsOf, type Bundle, type Parcel } from '@/rider/round'
import { describe, expect, it } from 'vitest'

function parcel(parcel_id: string, building_id: string, facts: Partial<Parcel> = {}): Parcel {
  return {
    parcel_id,
    building_id,
    portions: 2,
    state: 'picked_up',
    is_ready: true,
    arrives_at: '2026-11-23T04:10:00Z',
    ...facts,
  } as Parcel
}

const bundle = (state: Bundle['state'], ...parcels: Parcel[]): Bundle => ({ state, parcels }) as Bundle

describe('what a rider is doing', () => {
  it('is off, waiting, fetching or bringing', () => {
    const none = { is_on: false, until: null, bundle: null }

    expect([
      stageOf(none),
      stageOf({ ...none, is_on: true }),
      stageOf({ ...none, is_on: true, bundle: bundle('assigned') }),
      // Who carries food brings it, though his shift is over.
      stageOf({ ...none, bundle: bundle('picked_up') }),
    ]).toEqual(['off', 'idle', 'fetch', 'bring'])
  })
})

describe('the stops of a round', () => {
  it('are in the order of the doors, several parcels for one door together', () => {
    const stops = stopsOf(
      bundle(
        'picked_up',
        parcel('a', 'dorm-1'),
        parcel('b', 'dorm-1', { portions: 3, arrives_at: '2026-11-23T04:05:00Z' }),
        parcel('c', 'dorm-2'),
      ),
    )

    expect(stops.map(({ buildingId, portions, arrivesAt }) => [buildingId, portions, arrivesAt])).toEqual([
      ['dorm-1', 5, '2026-11-23T04:05:00Z'],
      ['dorm-2', 2, '2026-11-23T04:10:00Z'],
    ])
  })

  it('are done when all of their parcels are, and the first that is not is next', () => {
    const stops = stopsOf(
      bundle(
        'picked_up',
        parcel('a', 'dorm-1', { state: 'delivered' }),
        parcel('b', 'dorm-2', { state: 'delivered' }),
        parcel('c', 'dorm-2'),
        parcel('d', 'dorm-3'),
      ),
    )

    expect(stops.map(({ isDone, isNext }) => [isDone, isNext])).toEqual([
      [true, false],
      [false, true],
      [false, false],
    ])
  })

  it('count what is ready; what was dropped is waited for by nobody', () => {
    const waiting = bundle(
      'assigned',
      parcel('a', 'dorm-1', { is_ready: false }),
      parcel('b', 'dorm-2'),
      parcel('c', 'dorm-3', { state: 'dropped', is_ready: false }),
    )

    expect(readyOf(waiting)).toEqual({ ready: 1, all: 2 })
  })
})
