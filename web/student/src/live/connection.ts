/** The live connection of whoever is signed in: his own stream, and pictures of the groups he looks at. */

import type { components } from '@client/schema'
import { Centrifuge, type Subscription } from 'centrifuge'
import { computed, ref, watch } from 'vue'
import { accountOf } from '@/account'
import { ask, Refusal } from '@/api/request'
// #ifdef MP-WEIXIN
import { PhoneSocket } from '@/live/socket'
// #endif

export type Message = components['schemas']['MessagePage']['items'][number]['data']
export type Picture = components['schemas']['GroupPicture']

// As the gateway asks: every ten messages or once a second, whichever comes first.
const ACK_EVERY = 10
const ACK_AFTER_MS = 1000
const ONCE_MORE_MS = 5000

const state = ref<'off' | 'connecting' | 'on'>('off')
const hearers = new Set<(message: Message) => void>()
const watched = new Map<string, Set<(picture: Picture) => void>>()
let client: Centrifuge | undefined
let person = ''
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

/** Call `look` with every picture of a group; gives what ends that. */
export function watchGroup(groupId: string, look: (picture: Picture) => void): () => void {
  const channel = `group:${groupId}`
  const looking = watched.get(channel) ?? new Set()
  looking.add(look)
  watched.set(channel, looking)
  if (client) subscribe(client, channel)
  return () => {
    looking.delete(look)
    if (looking.size) return
    watched.delete(channel)
    const subscription = client?.getSubscription(channel)
    if (subscription) client?.removeSubscription(subscription)
  }
}

/** Keep the connection of whoever is signed in, from now on; nobody signed in, no connection. */
export function stayConnected(): void {
  watch(
    () => accountOf()?.person_id ?? '',
    (id) => {
      if (id === person) return
      person = id
      disconnect()
      if (id) void connect()
    },
    { immediate: true },
  )
}

async function connect(): Promise<void> {
  const mine = person
  state.value = 'connecting'
  try {
    const answer = await askToken()
    if (mine === person) start(addressOf(answer), answer.token)
  } catch (error) {
    // Without a token pages ask again and again, as they do whenever there is no connection.
    if (mine !== person) return
    state.value = 'off'
    if (!(error instanceof Refusal)) setTimeout(() => mine === person && void connect(), ONCE_MORE_MS)
  }
}

function start(address: string, token: string): void {
  client = new Centrifuge(address, {
    token,
    getToken: async () => (await askToken()).token,
    // #ifdef MP-WEIXIN
    websocket: PhoneSocket,
    // #endif
  })
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
  for (const channel of watched.keys()) subscribe(client, channel)
  client.connect()
}

function disconnect(): void {
  client?.disconnect()
  client = undefined
  newest = 0
  acked = 0
  state.value = 'off'
}

function subscribe(to: Centrifuge, channel: string): void {
  if (to.getSubscription(channel)) return
  const subscription: Subscription = to.newSubscription(channel)
  const show = (data: unknown) => {
    for (const look of watched.get(channel) ?? []) look(data as Picture)
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

function askToken() {
  return ask('post', '/v1/live/token', { body: { campus_id: null } })
}

function addressOf({ url, port, path }: { url: string | null; port: number | null; path: string }): string {
  if (url) return `${url}${path}`
  // #ifdef H5
  if (import.meta.env.VITE_API === undefined) {
    return `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.hostname}:${port}${path}`
  }
  // #endif
  const api = (import.meta.env.VITE_API ?? '').replace(/^http/, 'ws').replace(/:\d+$/, '')
  return `${api}:${port}${path}`
}
