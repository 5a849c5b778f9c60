import { beforeEach, describe, expect, it, vi } from 'vitest'

/** The cart of a page that has just been read anew. */
async function pageReadAnew() {
  vi.resetModules()
  return import('@/cart')
}

beforeEach(() => {
  vi.useFakeTimers()
  uni.removeStorageSync('tuanzi.cart')
})

describe('the cart', () => {
  it('is as it was when the page is read anew', async () => {
    const { begin, put } = await pageReadAnew()
    begin('trio', 'g_1')
    put('beef', 2)

    const { current } = await pageReadAnew()

    const lines = [{ dish_id: 'beef', quantity: 2, set_meal_id: null, addon: false }]
    expect(current.value).toEqual({ campaignId: 'trio', groupId: 'g_1', lines })
  })

  it('is empty after a while, and once it has become a seat', async () => {
    const { begin, put } = await pageReadAnew()
    begin('trio')
    put('beef', 1)
    vi.setSystemTime(Date.now() + 2 * 3600_000)
    expect((await pageReadAnew()).portions.value).toBe(0)

    const again = await pageReadAnew()
    again.put('beef', 1)
    again.clear()
    expect((await pageReadAnew()).portions.value).toBe(0)
  })
})
