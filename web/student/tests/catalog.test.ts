import { dishesOf, portionsOf } from '@/catalog'
import { describe, expect, it } from 'vitest'

/** Have the API answer one page after another; gives what was asked. */
function answer(...pages: object[]): string[] {
  const asked: string[] = []
  const request = ({ url, success }: UniApp.RequestOptions) => {
    asked.push(url)
    success?.({ statusCode: 200, data: pages.shift() } as UniApp.RequestSuccessCallbackResult)
  }
  Object.assign(uni, { request })
  return asked
}

describe('what a campus offers', () => {
  it('is read to its end, however many pages it has', async () => {
    const [beef, soup] = ['beef', 'soup'].map((id) => ({ dish: { id }, is_offered: true }))
    const asked = answer({ items: [beef], next: 'beef' }, { items: [soup], next: null })

    expect(await dishesOf('b')).toEqual([beef, soup])
    expect(asked).toEqual(['/v1/campuses/b/dishes?limit=100&after=', '/v1/campuses/b/dishes?limit=100&after=beef'])
  })

  it('counts what is closed as nothing left', async () => {
    answer(
      { items: [{ dish_id: 'beef', left: 4, is_closed: false }], next: 'beef' },
      { items: [{ dish_id: 'soup', left: 7, is_closed: true }], next: null },
    )

    expect(await portionsOf('b', '2026-11-23.lunch')).toEqual(
      new Map([
        ['beef', 4],
        ['soup', 0],
      ]),
    )
  })
})
