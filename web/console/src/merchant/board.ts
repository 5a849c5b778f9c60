/** What a shop has to make, as its board shows it: columns, and in each what goes to one building together (B9). Pure. */

import type { components } from '@client/schema'

export type SubOrder = components['schemas']['SubOrderView']
export type SubState = components['schemas']['SubOrderState']
export type Parcel = components['schemas']['ParcelView']
export type Step = 'accept' | 'cook' | 'ready'

/** The columns, and the states of what is in each. */
export const COLUMNS = [
  { name: 'waiting', states: ['planned'] },
  { name: 'kitchen', states: ['accepted', 'cooking'] },
  { name: 'ready', states: ['ready'] },
  { name: 'gone', states: ['picked_up'] },
] as const satisfies readonly { name: string; states: readonly SubState[] }[]
export type ColumnName = (typeof COLUMNS)[number]['name']

/** Where parcels that are still of interest are. */
export const PARCEL_STATES = ['waiting', 'assigned', 'picked_up'] as const satisfies readonly Parcel['state'][]

/** What goes to one building and is equally far. plannedAt: of the oldest; arrivesAt: the earliest promise; readyAt: since when the
 * first of it is on the counter; dishes: [id, portions], most first. */
export interface Batch {
  key: string
  buildingId: string
  state: SubState
  subs: SubOrder[]
  dishes: [string, number][]
  portions: number
  plannedAt: string
  arrivesAt: string | undefined
  readyAt: string | undefined
  hasRider: boolean
}

/** What a merchant does next; undefined when it is another's turn. */
export function stepOf(state: SubState): Step | undefined {
  if (state === 'planned') return 'accept'
  if (state === 'accepted') return 'cook'
  return state === 'cooking' ? 'ready' : undefined
}

/** Whether a merchant may still say that he cannot make it. */
export function mayReject(state: SubState): boolean {
  return stepOf(state) !== undefined
}

/** Sub-orders by building and state, the most urgent first. */
export function batchesOf(subs: readonly SubOrder[], parcels: readonly Parcel[]): Batch[] {
  const parcelOf = new Map(parcels.flatMap((parcel) => parcel.sub_order_ids.map((id) => [id, parcel] as const)))
  const batches = new Map<string, Batch>()
  for (const sub of subs) {
    const key = `${sub.state} ${sub.building_id}`
    const batch = batches.get(key) ?? emptyBatch(key, sub)
    batches.set(key, batch)
    const parcel = parcelOf.get(sub.sub_order_id)
    batch.subs.push(sub)
    if (sub.planned_at < batch.plannedAt) batch.plannedAt = sub.planned_at
    batch.portions += Object.values(sub.dishes).reduce((sum, n) => sum + n, 0)
    if (parcel?.is_ready && parcel.ready_at && (!batch.readyAt || parcel.ready_at < batch.readyAt))
      batch.readyAt = parcel.ready_at
    batch.hasRider ||= Boolean(parcel?.bundle_id)
    if (parcel && (!batch.arrivesAt || parcel.arrives_at < batch.arrivesAt)) batch.arrivesAt = parcel.arrives_at
  }
  for (const batch of batches.values()) batch.dishes = dishesOf(batch.subs)
  return [...batches.values()].sort(
    (a, b) => (a.arrivesAt ?? '~').localeCompare(b.arrivesAt ?? '~') || a.key.localeCompare(b.key),
  )
}

/** How many portions of each dish sub-orders have, most first. */
export function dishesOf(subs: readonly SubOrder[]): [string, number][] {
  const counts = new Map<string, number>()
  for (const { dishes } of subs)
    for (const [dish, n] of Object.entries(dishes)) counts.set(dish, (counts.get(dish) ?? 0) + n)
  return [...counts].sort(([a, n], [b, m]) => m - n || a.localeCompare(b))
}

/** When a shop that has not accepted is late, and when its customer gets his money back. */
export interface AcceptBy {
  lateAt: number
  givenUpAt: number
}

/** By when a batch is to be accepted; undefined when it is. Both in milliseconds. */
export function acceptBy(
  batch: Batch,
  terms: { late_minutes: number; given_up_minutes: number },
): AcceptBy | undefined {
  if (batch.state !== 'planned') return undefined
  const since = Date.parse(batch.plannedAt)
  return { lateAt: since + terms.late_minutes * 60_000, givenUpAt: since + terms.given_up_minutes * 60_000 }
}

/** By when a batch that its shop accepted is to be ready, in milliseconds; undefined when it is, or is not accepted. */
export function readyBy(batch: Batch, terms: { ready_minutes: number }): number | undefined {
  if (batch.state !== 'accepted' && batch.state !== 'cooking') return undefined
  return Date.parse(batch.plannedAt) + terms.ready_minutes * 60_000
}

/** By when a batch that is ready is to be fetched, in milliseconds; undefined when it is not, or was. */
export function fetchBy(batch: Batch, terms: { fetch_minutes: number }): number | undefined {
  if (batch.state !== 'ready' || !batch.readyAt) return undefined
  return Date.parse(batch.readyAt) + terms.fetch_minutes * 60_000
}

function emptyBatch(key: string, { building_id, state, planned_at }: SubOrder): Batch {
  return {
    key,
    buildingId: building_id,
    state,
    subs: [],
    dishes: [],
    portions: 0,
    plannedAt: planned_at,
    arrivesAt: undefined,
    readyAt: undefined,
    hasRider: false,
  }
}
