/** What ids of a campus are called: its buildings, merchants, dishes, campaigns; read once for each campus. */

import type { components } from '@client/schema'
import { computed, shallowRef, watch } from 'vue'
import { campusId } from '@/account'
import { api, good } from '@/api/client'
import { named } from '@/locale'

type Schemas = components['schemas']
export type Dish = Schemas['DishEntry']
export type Merchant = Schemas['MerchantEntry']
export type Campaign = Schemas['CampaignEntry']
interface Named {
  id: string
  name_zh: string
  name_en: string
}

// A campus has some dozen merchants and some hundred dishes.
const PAGES_MAX = 20
const LIMIT = 100

const buildings = shallowRef<readonly Named[]>([])
const merchants = shallowRef<readonly Merchant[]>([])
const dishes = shallowRef<readonly Dish[]>([])
const campaigns = shallowRef<readonly Campaign[]>([])
let known = ''

export const allBuildings = computed(() => buildings.value)
export const allMerchants = computed(() => merchants.value)
export const allDishes = computed(() => dishes.value)
export const allCampaigns = computed(() => campaigns.value)

const names = computed(() => {
  const found = new Map<string, Named>()
  for (const each of [buildings, merchants, dishes, campaigns]) for (const one of each.value) found.set(one.id, one)
  return found
})

/** What an id is called; the id itself while nobody knows. */
export function nameOf(id: string | null | undefined): string {
  return named(id ? names.value.get(id) : undefined) || id || ''
}

/** Read the names of the campus that is worked on, and again when another one is. For use in setup. */
export function useNames(): void {
  watch(
    campusId,
    (campus) => {
      if (campus && campus !== known) void readNames(campus)
    },
    { immediate: true },
  )
}

/** Read its campaigns again, for one has changed. */
export async function readCampaigns(campus: string): Promise<void> {
  campaigns.value = await allPages((after) =>
    good(
      api.GET('/v1/campuses/{campus}/operator/campaigns', {
        params: { path: { campus }, query: { after, limit: LIMIT } },
      }),
    ),
  )
}

async function readNames(campus: string): Promise<void> {
  known = campus
  const path = { campus }
  try {
    await Promise.all([
      good(api.GET('/v1/campuses/{campus}', { params: { path } })).then((page) => (buildings.value = page.buildings)),
      allPages((after) =>
        good(api.GET('/v1/campuses/{campus}/merchants', { params: { path, query: { after, limit: LIMIT } } })),
      ).then((found) => (merchants.value = found)),
      allPages((after) =>
        good(api.GET('/v1/campuses/{campus}/dishes', { params: { path, query: { after, limit: LIMIT } } })),
      ).then((found) => (dishes.value = found.map(({ dish }) => dish))),
      readCampaigns(campus),
    ])
  } catch {
    // Ids stand where names would; the next screen asks again.
    known = ''
  }
}

async function allPages<T>(read: (after: string) => Promise<{ items: readonly T[]; next: string | null }>) {
  const found: T[] = []
  let after = ''
  for (let i = 0; i < PAGES_MAX; i += 1) {
    const page = await read(after)
    found.push(...page.items)
    if (!page.next) break
    after = page.next
  }
  return found
}
