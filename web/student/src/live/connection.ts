/** The live connection of whoever is signed in: his own stream, and pictures of the groups he looks at. */

import type { components } from '@client/schema'
import { Connection, hostOfPage } from '@shared/connection'
import { accountOf } from '@/account'
import { ask, Refusal } from '@/api/request'
// #ifdef MP-WEIXIN
import { PhoneSocket } from '@/live/socket'
// #endif

export type { Message } from '@shared/connection'
export type Picture = components['schemas']['GroupPicture']

const connection = new Connection({
  who: () => accountOf()?.person_id ?? '',
  askToken: () => ask('post', '/v1/live/token', { body: { campus_id: null } }),
  hostOf: (port) => {
    // #ifdef H5
    if (import.meta.env.VITE_API === undefined) return hostOfPage(port)
    // #endif
    return `${(import.meta.env.VITE_API ?? '').replace(/^http/, 'ws').replace(/:\d+$/, '')}:${port}`
  },
  isRefusal: (error) => error instanceof Refusal,
  // #ifdef MP-WEIXIN
  options: { websocket: PhoneSocket },
  // #endif
})

export const { isLive } = connection
export const hear = connection.hear.bind(connection)
export const stayConnected = connection.stay.bind(connection)

/** Call `look` with every picture of a group; gives what ends that. */
export function watchGroup(groupId: string, look: (picture: Picture) => void): () => void {
  return connection.follow(`group:${groupId}`, look)
}
