/**
 * A live connection: one's own stream, the streams of boards, and pictures (docs/live.md). Each app keeps one, and says
 * whose it is and how a token is asked for.
 */

import type { components } from '@client/schema'
import { Centrifuge, type Options, type Subscription } from 'centrifuge'
import { computed, type ComputedRef, ref, watch } from 'vue'

export type Message = components['schemas']['MessagePage']['items'][number]['data']
export type LiveToken = components['schemas']['LiveToken']
type Look = (data: unknown) => void

/** What an app tells of itself. */
export interface Listener {
  /** Who listens, and where; another one has another connection, '' none. */
  who: () => string
  askToken: () => Promise<LiveToken>
  /** Where the gateway is when the token does not say. */
  hostOf: (port: number | null) => string
  /** Whether an error says no, so that asking again is of no use. */
  isRefusal: (error: unknown) => boolean
  options?: Partial<Options>
}

// As the gateway asks: at once, but what comes within a second of it together, or ten of it.
const ACK_EVERY = 10
const ACK_AGAIN_MS = 1000
const ONCE_MORE_MS = 5000

/** The live connection of an app. */
export class Connection {
  /** Whether messages come by themselves, so that asking now and then is enough. */
  readonly isLive: ComputedRef<boolean>
  private readonly state = ref<'off' | 'connecting' | 'on'>('off')
  private readonly hearers = new Set<(message: Message) => void>()
  private readonly channels = new Map<string, Set<Look>>()
  private client: Centrifuge | undefined
  private who = ''
  private newest = 0
  private acked = 0
  private ackTimer: ReturnType<typeof setTimeout> | undefined

  constructor(private readonly listener: Listener) {
    this.isLive = computed(() => this.state.value === 'on')
  }

  /** Call `hearer` with each message of one's own stream; gives what ends that. */
  hear(hearer: (message: Message) => void): () => void {
    this.hearers.add(hearer)
    return () => this.hearers.delete(hearer)
  }

  /** Call `look` with what comes on a channel, a picture or a stream that several hear; gives what ends that. */
  follow<T>(channel: string, hearer: (data: T) => void): () => void {
    const look = hearer as Look
    const looking = this.channels.get(channel) ?? new Set()
    looking.add(look)
    this.channels.set(channel, looking)
    if (this.client) this.subscribe(this.client, channel)
    return () => {
      looking.delete(look)
      if (looking.size) return
      this.channels.delete(channel)
      const subscription = this.client?.getSubscription(channel)
      if (subscription) this.client?.removeSubscription(subscription)
    }
  }

  /** Keep the connection of whoever listens, from now on; nobody, no connection. */
  stay(): void {
    watch(
      this.listener.who,
      (who) => {
        if (who === this.who) return
        this.who = who
        this.disconnect()
        if (who) void this.connect()
      },
      { immediate: true },
    )
  }

  private async connect(): Promise<void> {
    const mine = this.who
    this.state.value = 'connecting'
    try {
      const answer = await this.listener.askToken()
      if (mine === this.who) this.start(answer)
    } catch (error) {
      // Without a token pages ask again and again, as they do whenever there is no connection.
      if (mine !== this.who) return
      this.state.value = 'off'
      if (this.listener.isRefusal(error)) return
      setTimeout(() => mine === this.who && void this.connect(), ONCE_MORE_MS)
    }
  }

  private start({ url, port, path, token }: LiveToken): void {
    const getToken = async () => (await this.listener.askToken()).token
    const client = new Centrifuge(`${url || this.listener.hostOf(port)}${path}`, {
      token,
      getToken,
      ...this.listener.options,
    })
    this.client = client
    client.on('connected', () => (this.state.value = 'on'))
    client.on('connecting', () => (this.state.value = 'connecting'))
    client.on('disconnected', () => (this.state.value = 'off'))
    client.on('publication', ({ channel, data, offset }) => {
      // A message that was told before is told to nobody again.
      if (!channel.startsWith('user:') || offset === undefined || offset <= this.newest) return
      this.newest = offset
      for (const hearer of this.hearers) hearer(data as Message)
      this.ackInTime()
    })
    client.on('message', ({ data }) => {
      const told = (data as { newest?: number }).newest ?? 0
      if (this.newest === 0 || told <= this.newest) return
      // The ping knows of a message that did not come: the stream is taken up again from the last one.
      client.disconnect()
      client.connect()
    })
    for (const channel of this.channels.keys()) this.subscribe(client, channel)
    client.connect()
  }

  private disconnect(): void {
    this.client?.disconnect()
    this.client = undefined
    clearTimeout(this.ackTimer)
    this.ackTimer = undefined
    this.newest = 0
    this.acked = 0
    this.state.value = 'off'
  }

  private subscribe(to: Centrifuge, channel: string): void {
    if (to.getSubscription(channel)) return
    const isPicture = channel === 'ops' || channel.startsWith('group:')
    const subscription: Subscription = to.newSubscription(channel, isPicture ? {} : { recoverable: true })
    const show = (data: unknown) => {
      for (const look of this.channels.get(channel) ?? []) look(data)
    }
    subscription.on('subscribed', ({ data }) => data && show(data))
    subscription.on('publication', ({ data }) => show(data))
    subscription.subscribe()
  }

  private ackInTime(): void {
    if (this.ackTimer === undefined || this.newest - this.acked >= ACK_EVERY) this.ack()
  }

  private ack(): void {
    clearTimeout(this.ackTimer)
    this.ackTimer = setTimeout(() => {
      this.ackTimer = undefined
      if (this.newest > this.acked) this.ack()
    }, ACK_AGAIN_MS)
    this.acked = this.newest
    // What is not acknowledged comes again to the next page: nothing is lost when this is.
    this.client?.send({ ack: this.newest }).catch(() => undefined)
  }
}

/** The gateway on the host that a page came from. */
export function hostOfPage(port: number | null): string {
  return `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.hostname}:${port}`
}
