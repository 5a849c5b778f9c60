/** The live connection of whoever is signed in: his own stream, the streams of boards, and pictures (docs/live.md). */

import { Connection, hostOfPage, type Message } from '@shared/connection'
import { account, campusId } from '@/account'
import { api, good, Refusal } from '@/api/client'

export type { Message } from '@shared/connection'

// He listens for the campus he works on.
const connection = new Connection({
  who: () => (account.value && campusId.value ? `${account.value.person_id} ${campusId.value}` : ''),
  askToken: () => good(api.POST('/v1/live/token', { body: { campus_id: campusId.value } })),
  hostOf: hostOfPage,
  isRefusal: (error) => error instanceof Refusal,
})

export const { isLive } = connection
export const hear = connection.hear.bind(connection)
export const stayConnected = connection.stay.bind(connection)

/** Call `hearer` with each message of a stream that several hear, `board:<merchant>` or `riders`; gives what ends that. */
export function hearStream(channel: string, hearer: (message: Message) => void): () => void {
  return connection.follow(channel, hearer)
}

/** Call `look` with every picture of a channel, `ops` or `group:<id>`; gives what ends that. */
export function watchPicture<T>(channel: string, look: (picture: T) => void): () => void {
  return connection.follow(channel, look)
}
