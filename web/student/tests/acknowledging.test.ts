import { Connection, type Listener } from '@shared/connection'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'

type Hear = (told: { channel: string; data: unknown; offset?: number }) => void
const { hearers, sent } = vi.hoisted(() => ({ hearers: new Map<string, unknown>(), sent: [] as unknown[] }))

vi.mock('centrifuge', () => ({
  Centrifuge: class {
    on(event: string, hearer: unknown) {
      hearers.set(event, hearer)
    }
    async send(data: unknown) {
      sent.push(data)
    }
    connect() {}
    disconnect() {}
  },
}))

function come(...offsets: number[]) {
  for (const offset of offsets) (hearers.get('publication') as Hear)({ channel: 'user:p_1', data: {}, offset })
}

beforeEach(async () => {
  vi.useFakeTimers()
  sent.length = 0
  const listener: Listener = {
    who: () => 'p_1',
    askToken: async () => ({
      token: 'secret',
      expires_in_s: 300,
      url: null,
      port: 8001,
      path: '/live',
      channel: 'user:p_1',
    }),
    hostOf: () => 'ws://here',
    isRefusal: () => false,
  }
  new Connection(listener).stay()
  await vi.advanceTimersByTimeAsync(0)
})
afterEach(() => vi.useRealTimers())

describe('acknowledging', () => {
  it('is done at once when a message comes alone, even where no timer goes off', () => {
    come(7)

    expect(sent).toEqual([{ ack: 7 }])
  })

  it('is done once for what comes within a second of the last time', async () => {
    come(1, 2, 3)
    expect(sent).toEqual([{ ack: 1 }])

    await vi.advanceTimersByTimeAsync(999)
    expect(sent).toEqual([{ ack: 1 }])
    await vi.advanceTimersByTimeAsync(1)

    expect(sent).toEqual([{ ack: 1 }, { ack: 3 }])
    await vi.advanceTimersByTimeAsync(5000)
    expect(sent).toEqual([{ ack: 1 }, { ack: 3 }])
    come(4)
    expect(sent).toEqual([{ ack: 1 }, { ack: 3 }, { ack: 4 }])
  })

  it('does not wait for more than ten', () => {
    come(...Array.from({ length: 12 }, (_, i) => i + 1))

    expect(sent).toEqual([{ ack: 1 }, { ack: 11 }])
  })

  it('is not done again for a message that comes twice', async () => {
    come(1, 1)

    await vi.advanceTimersByTimeAsync(5000)
    expect(sent).toEqual([{ ack: 1 }])
  })
})
