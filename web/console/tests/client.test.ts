import { account, forgetAccount, keepAccount } from '@/account'
import { api, good, Refusal, Unreachable } from '@/api/client'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'

const RIDER = {
  token: 'secret',
  person_id: 'p_1',
  roles: ['rider' as const],
  campus_id: 'beijing',
  merchant_id: null,
  expires_at: '2026-12-23T03:00:00Z',
}
const json = (body: object, status = 200) => Response.json(body, { status })
let asked: Request[] = []

function answer(...answers: (Response | Error)[]) {
  vi.stubGlobal('fetch', async (request: Request) => {
    asked.push(request)
    const next = answers.shift()
    if (next instanceof Response) return next
    throw next ?? new TypeError('cut')
  })
}

beforeEach(() => {
  asked = []
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
  forgetAccount()
})

describe('the client', () => {
  it('says who asks, and gives what was answered', async () => {
    keepAccount(RIDER)
    answer(json({ now: '2026-11-23T03:00:00Z' }))

    expect(await good(api.GET('/v1/clock'))).toEqual({ now: '2026-11-23T03:00:00Z' })
    expect(asked.map(({ headers }) => headers.get('authorization'))).toEqual(['Bearer secret'])
    expect(asked.map(({ headers }) => headers.has('idempotency-key'))).toEqual([false])
  })

  it('sends a write again with the same key when nobody knows what came of it', async () => {
    answer(new TypeError('cut'), json({}, 503), json({ is_on: false }))

    const ended = good(
      api.POST('/v1/campuses/{campus}/rider/shift/end', { params: { path: { campus: 'b' } }, body: {} }),
    )
    await vi.runAllTimersAsync()

    expect(await ended).toEqual({ is_on: false })
    const keys = asked.map(({ headers }) => headers.get('idempotency-key'))
    expect([keys.length, new Set(keys).size]).toEqual([3, 1])
    expect(await Promise.all(asked.map((request) => request.text()))).toEqual(['{}', '{}', '{}'])
  })

  it('asks about the same with the same key until it is answered, then for another', async () => {
    const end = () =>
      good(api.POST('/v1/campuses/{campus}/rider/shift/end', { params: { path: { campus: 'b' } }, body: {} })).catch(
        (error: unknown) => error,
      )
    answer()
    const lost = end()
    await vi.runAllTimersAsync()
    expect(await lost).toBeInstanceOf(Unreachable)

    answer(json({ is_on: false }), json({ is_on: false }))
    await end()
    await end()

    const keys = asked.map(({ headers }) => headers.get('idempotency-key'))
    expect(new Set(keys.slice(0, 4)).size).toBe(1)
    expect(keys[4]).not.toBe(keys[0])
  })

  it('says what does not fit where the server says it, else the title', async () => {
    const refused = { code: 'base/invalid', title: '请求内容有误' }
    answer(json({ ...refused, detail: '手机号：不能为空。' }, 422), json(refused, 422))

    await expect(good(api.GET('/v1/clock'))).rejects.toThrow('手机号：不能为空。')
    await expect(good(api.GET('/v1/clock'))).rejects.toThrow('请求内容有误')
  })

  it('gives up in the end', async () => {
    answer()

    const read = good(api.GET('/v1/clock')).catch((error: unknown) => error)
    await vi.runAllTimersAsync()

    expect(await read).toBeInstanceOf(Unreachable)
    expect(asked.length).toBe(3)
  })

  it('tells a rule’s no apart, and never asks twice', async () => {
    answer(json({ code: 'delivery/not-ready', title: '还没出餐' }, 409))

    const refused = await good(api.GET('/v1/clock')).catch((error: unknown) => error)

    expect(refused).toBeInstanceOf(Refusal)
    expect((refused as Refusal).code).toBe('delivery/not-ready')
    expect(asked.length).toBe(1)
  })

  it('forgets whose session has ended', async () => {
    keepAccount(RIDER)
    answer(json({ code: 'http/not-signed-in' }, 401))

    await good(api.GET('/v1/me')).catch(() => undefined)

    expect(account.value).toBeNull()
  })
})
