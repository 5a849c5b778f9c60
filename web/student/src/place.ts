/** Where one is: the campus, its buildings, meals and shops, and the building food is brought to. */

import { computed, ref, shallowRef } from 'vue'
import { accountOf } from '@/account'
import { ask, type Answer } from '@/api/request'
import { merchantsOf, type Merchant } from '@/catalog'

type CampusPage = Answer<'get', '/v1/campuses/{campus}'>

const CAMPUS = 'tuanzi.campus'
const BUILDING = 'tuanzi.building'

const looked = ref(uni.getStorageSync(CAMPUS) as string)
const buildingId = ref(uni.getStorageSync(BUILDING) as string)
const page = shallowRef<CampusPage>()
const merchants = shallowRef<ReadonlyMap<string, Merchant>>(new Map())

/** The campus: one's own when signed in, else the one that was looked at last; may be empty before `enter`. */
export const campusId = computed(() => accountOf()?.campus_id ?? looked.value)

/** The campus with buildings and meals, when it is known. */
export const campus = computed(() => page.value)

/** The building food is brought to. */
export const building = computed(() => page.value?.buildings.find((one) => one.id === buildingId.value))

/** Make sure that the campus is known; with a name, look at that one. Raises Unreachable, Refusal. */
export async function enter(wanted?: string): Promise<string> {
  let id = wanted || campusId.value
  if (!id) id = (await ask('get', '/v1/campuses', {})).items[0]?.id ?? ''
  if (page.value?.campus.id !== id) {
    const [found, shops] = await Promise.all([
      ask('get', '/v1/campuses/{campus}', { path: { campus: id } }),
      merchantsOf(id),
    ])
    page.value = found
    merchants.value = new Map(shops.map((shop) => [shop.id, shop]))
    if (!found.buildings.some((one) => one.id === buildingId.value)) buildingId.value = ''
  }
  looked.value = id
  uni.setStorageSync(CAMPUS, id)
  return id
}

/** A shop of this campus. */
export function merchantOf(id: string): Merchant | undefined {
  return merchants.value.get(id)
}

/** A building of this campus. */
export function buildingOf(id: string) {
  return page.value?.buildings.find((one) => one.id === id)
}

/** Have food brought to this building from now on. */
export function choose(id: string): void {
  buildingId.value = id
  uni.setStorageSync(BUILDING, id)
}
