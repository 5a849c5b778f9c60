/** A rider's round as his board shows it: what he waits for, where he goes next, what is behind him (B9). Pure. */

import type { components } from '@client/schema'

export type Board = components['schemas']['RiderBoard']
export type Bundle = components['schemas']['BundleView']
export type Parcel = components['schemas']['ParcelView']
export type Stage = 'off' | 'idle' | 'fetch' | 'bring'

/** A stop at a building: several parcels for one door are one stop. */
export interface Stop {
  buildingId: string
  parcels: Parcel[]
  portions: number
  arrivesAt: string
  isDone: boolean
  isNext: boolean
}

/** What a rider is doing now. */
export function stageOf(board: Board): Stage {
  if (board.bundle) return board.bundle.state === 'picked_up' ? 'bring' : 'fetch'
  return board.is_on ? 'idle' : 'off'
}

/** The stops of a bundle in the order of their doors; the first that is not done is next. */
export function stopsOf(bundle: Bundle): Stop[] {
  const stops: Stop[] = []
  for (const parcel of bundle.parcels) {
    const last = stops.at(-1)
    if (last?.buildingId === parcel.building_id) last.parcels.push(parcel)
    else stops.push(stopAt(parcel))
  }
  for (const stop of stops) {
    stop.portions = stop.parcels.reduce((sum, { portions }) => sum + portions, 0)
    stop.arrivesAt = stop.parcels.map(({ arrives_at }) => arrives_at).sort()[0] ?? ''
    stop.isDone = stop.parcels.every(({ state }) => state === 'delivered' || state === 'dropped')
  }
  const next = stops.find(({ isDone }) => !isDone)
  if (next) next.isNext = true
  return stops
}

/** How many parcels of a bundle are ready to be taken, and of how many. */
export function readyOf(bundle: Bundle): { ready: number; all: number } {
  const parcels = bundle.parcels.filter(({ state }) => state !== 'dropped')
  return { ready: parcels.filter(({ is_ready }) => is_ready).length, all: parcels.length }
}

function stopAt(parcel: Parcel): Stop {
  return {
    buildingId: parcel.building_id,
    parcels: [parcel],
    portions: 0,
    arrivesAt: '',
    isDone: false,
    isNext: false,
  }
}
