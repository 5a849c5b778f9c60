/** The names of what a campus has: its buildings and merchants, read once for each campus. */

import type { components } from '@client/schema'
import { everyPage } from '@shared/pages'
import { shallowRef, watchEffect } from 'vue'
import { campusId } from '@/account'
import { api, good } from '@/api/client'
import { named } from '@/locale'

type Building = components['schemas']['Building']
type Merchant = components['schemas']['MerchantEntry']
type Dish = components['schemas']['DishEntry']

export interface Catalog {
  buildings: ReadonlyMap<string, Building>
  merchants: ReadonlyMap<string, Merchant>
}

const known = new Map<string, Promise<Catalog>>()
const shown = shallowRef<Catalog>()

/** The catalog of the campus that is worked on, as soon as it is known; its names stand for ids until then. */
export function useCatalog() {
  watchEffect(() => void loadCatalog(campusId.value).catch(() => undefined))
  return {
    catalog: shown,
    buildingName: (id: string) => named(shown.value?.buildings.get(id)) || id,
    merchantName: (id: string) => named(shown.value?.merchants.get(id)) || id,
  }
}

/** Every dish of a merchant, by id. Raises what reading raises. */
export function dishesOf(campus: string, merchant_id: string): Promise<Dish[]> {
  return everyPage(async (after) => {
    const query = { merchant_id, after, limit: 100 }
    const page = await good(api.GET('/v1/campuses/{campus}/dishes', { params: { path: { campus }, query } }))
    return { items: page.items.map(({ dish }) => dish), next: page.next }
  })
}

async function loadCatalog(campus: string): Promise<void> {
  if (!campus) return
  const reading = known.get(campus) ?? readCatalog(campus)
  known.set(campus, reading)
  try {
    const read = await reading
    if (campus === campusId.value) shown.value = read
  } catch (error) {
    known.delete(campus)
    throw error
  }
}

async function readCatalog(campus: string): Promise<Catalog> {
  const path = { campus }
  const [page, merchants] = await Promise.all([
    good(api.GET('/v1/campuses/{campus}', { params: { path } })),
    everyPage((after) =>
      good(api.GET('/v1/campuses/{campus}/merchants', { params: { path, query: { after, limit: 100 } } })),
    ),
  ])
  return {
    buildings: new Map(page.buildings.map((building) => [building.id, building])),
    merchants: new Map(merchants.map((merchant) => [merchant.id, merchant])),
  }
}
