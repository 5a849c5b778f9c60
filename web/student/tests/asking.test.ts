import { forgetAccount, keepAccount } from '@/account'
import { ask, Unreachable } from '@/api/request'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'

type Sent = Pick<UniApp.RequestSuccessCallbackResult, 'statusCode' | 'data'>
let keys: (string | undefined)[] = []

function answer(...answers: Sent[]) {
  const request = ({ header, success, fail }: UniApp.RequestOptions) => {
    keys.push((header as Record<string, string>)['idempotency-key'])
    const next = answers.shift()
    if (next) success?.(next as UniApp.RequestSuccessCallbackResult)
    else fail?.({ errMsg: 'cut' })
  }
  Object.assign(uni, { request })
}

function open(quantity = 1) {
  const lines = [{ dish_id: 'beef', quantity, set_meal_id: null, addon: false }]
  const body = { campaign_id: 'trio', building_id: 'dorm-1', lines, coupon_id: null }
  return ask('post', '/v1/campuses/{campus}/groups', { path: { campus: 'b' }, body }).catch((error: unknown) => error)
}

beforeEach(() => {
  keys = []
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
  forgetAccount()
})

async function lose() {
  answer()
  const lost = open()
  await vi.runAllTimersAsync()
  expect(await lost).toBeInstanceOf(Unreachable)
}

describe('a wish that nobody knows what came of', () => {
  it('is asked for with the same key, whoever presses again, until it is answered', async () => {
    await lose()

    answer({ statusCode: 201, data: {} }, { statusCode: 201, data: {} })
    await open()
    await open()

    expect([keys.length, new Set(keys.slice(0, 4)).size]).toEqual([5, 1])
    expect(keys[4]).not.toBe(keys[0])
  })

  it('is another than that of another cart, of another person, and of ten minutes later', async () => {
    await lose()

    answer(...Array<Sent>(3).fill({ statusCode: 201, data: {} }))
    await open(2)
    keepAccount({ token: 'secret', person_id: 'p_1', campus_id: 'b', expires_at: '2026-12-23T03:00:00Z' })
    await open()
    forgetAccount()
    vi.setSystemTime(Date.now() + 10 * 60_000)
    await open()

    expect(new Set(keys).size).toBe(4)
  })

  it('is over when the answer is a no', async () => {
    await lose()

    answer({ statusCode: 409, data: { code: 'groups/group-full' } }, { statusCode: 201, data: {} })
    await open()
    await open()

    expect(keys[3]).toBe(keys[0])
    expect(keys[4]).not.toBe(keys[0])
  })
})
