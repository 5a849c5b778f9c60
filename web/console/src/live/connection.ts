/** The live connection of whoever is signed in: his own stream, the streams of boards, and pictures (docs/live.md). */

import type { components } from '@client/schema'
import { Centrifuge, type Subscription } from 'centrifuge'
import { computed, ref, watch } from 'vue'
import { account, campusId } from '@/account'
import { api, good, Refusal } from '@/api/client'

export type Message = components['schemas']['MessagePage']['items'][number]['data']
type LiveToken = components['schemas']['LiveToken']
type Look = (data: unknown) => void

// As the gateway asks: every ten messages or once a second, whichever comes first.
const ACK_EVERY = 10
const ACK_AFTER_MS = 1000
const ONCE_MORE_MS = 5000

const state = ref<'off' | 'connecting' | 'on'>('off')
const hearers = new Set<(message: Message) => void>()
const channels = new Map<string, Set<Look>>()
let client: Centrifuge | undefined
let listener = ''
let newest = 0
let acked = 0
let ackTimer: ReturnType<typeof setTimeout> | undefined

/** Whether messages come by themselves, so that asking now and then is enough. */
export const isLive = computed(() => state.value === 'on')

/** Call `hearer` with each message of one's own stream; gives what ends that. */
export function hear(hearer: (message: Message) => void): () => void {
  hearers.add(hearer)
  return () => hearers.delete(hearer)
}

/** Call `hearer` with each message of a stream that several hear, `board:<merchant>` or `riders`; gives what ends that. */
export function hearStream(channel: string, hearer: (message: Message) => void): () => void {
  return follow(channel, hearer as Look)
}

/** Call `look` with every picture of a channel, `ops` or `group:<id>`; gives what ends that. */
export function watchPicture<T>(channel: string, look: (picture: T) => void): () => void {
  return follow(channel, look as Look)
}

/** Keep the connection of whoever is signed in, for the campus he works on; nobody signed in, no connection. */
export function stayConnected(): void {
  watch(
    () => (account.value && campusId.value ? `${account.value.person_id} ${campusId.value}` : ''),
    (id) => {
      if (id === listener) return
      listener = id
      disconnect()
      if (id) void connect()
    },
    { immediate: true },
  )
}

async function connect(): Promise<void> {
  const mine = listener
  state.value = 'connecting'
  try {
    const answer = await askToken()
    if (mine === listener) start(addressOf(answer), answer.token)
  } catch (error) {
    // Without a token pages ask again and again, as they do whenever there is no connection.
    if (mine !== listener) return
    state.value = 'off'
    if (!(error instanceof Refusal)) setTimeout(() => mine === listener && void connect(), ONCE_MORE_MS)
  }
}

function start(address: string, token: string): void {
  client = new Centrifuge(address, { token, getToken: async () => (await askToken()).token })
  client.on('connected', () => (state.value = 'on'))
  client.on('connecting', () => (state.value = 'connecting'))
  client.on('disconnected', () => (state.value = 'off'))
  client.on('publication', ({ channel, data, offset }) => {
    // A message that was told before is told to nobody again.
    if (!channel.startsWith('user:') || offset === undefined || offset <= newest) return
    newest = offset
    for (const hearer of hearers) hearer(data as Message)
    ackSoon()
  })
  client.on('message', ({ data }) => {
    const told = (data as { newest?: number }).newest ?? 0
    if (newest === 0 || told <= newest || !client) return
    // The ping knows of a message that did not come: the stream is taken up again from the last one.
    client.disconnect()
    client.connect()
  })
  for (const channel of channels.keys()) subscribe(client, channel)
  client.connect()
}

function disconnect(): void {
  client?.disconnect()
  client = undefined
  newest = 0
  acked = 0
  state.value = 'off'
}

function follow(channel: string, look: Look): () => void {
  const looking = channels.get(channel) ?? new Set()
  looking.add(look)
  channels.set(channel, looking)
  if (client) subscribe(client, channel)
  return () => {
    looking.delete(look)
    if (looking.size) return
    channels.delete(channel)
    const subscription = client?.getSubscription(channel)
    if (subscription) client?.removeSubscription(subscription)
  }
}

function subscribe(to: Centrifuge, channel: string): void {
  if (to.getSubscription(channel)) return
  const isPicture = channel === 'ops' || channel.startsWith('group:')
  const subscription: Subscription = to.newSubscription(channel, isPicture ? {} : { recoverable: true })
  const show = (data: unknown) => {
    for (const look of channels.get(channel) ?? []) look(data)
  }
  subscription.on('subscribed', ({ data }) => data && show(data))
  subscription.on('publication', ({ data }) => show(data))
  subscription.subscribe()
}

function ackSoon(): void {
  if (newest - acked >= ACK_EVERY) ack()
  else ackTimer ??= setTimeout(ack, ACK_AFTER_MS)
}

function ack(): void {
  clearTimeout(ackTimer)
  ackTimer = undefined
  acked = newest
  // What is not acknowledged comes again to the next page: nothing is lost when this is.
  client?.rpc('ack', { number: newest }).catch(() => undefined)
}

function askToken(): Promise<LiveToken> {
  return good(api.POST('/v1/live/token', { body: { campus_id: campusId.value } }))
}

function addressOf({ url, port, path }: LiveToken): string {
  return url
    ? `${url}${path}`
    : `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.hostname}:${port}${path}`
}
