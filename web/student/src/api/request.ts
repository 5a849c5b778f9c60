/** The API, typed by its own OpenAPI document: `ask('get', '/v1/campuses/{campus}', { path: { campus } })`. */

import type { paths } from '@client/schema'
import { answered, keyOf } from '@shared/keys'
import { accountOf, forgetAccount } from '@/account'
import { reportRead } from '@/live/link'
import { language } from '@/locale'

type Method = 'get' | 'post' | 'put' | 'delete'
type Routes<M extends Method> = { [P in keyof paths]: paths[P][M] extends object ? P : never }[keyof paths]
type Json<T> = T extends { content: { 'application/json': infer B } } ? B : never
type Good<R> = { [S in keyof R]: S extends 200 | 201 | 202 ? Json<R[S]> : never }[keyof R]
type Part<O, K extends string> = O extends { parameters: Record<K, infer V> } ? V : undefined
type Given<K extends string, V> = [V] extends [undefined]
  ? object
  : undefined extends V
    ? { [k in K]?: V }
    : { [k in K]: V }
type Wanted<O> = Given<'path', Part<O, 'path'>> & {
  query?: NonNullable<O extends { parameters: { query?: infer Q } } ? Q : never>
} & Given<'body', O extends { requestBody: infer B } ? Json<B> : undefined>

/** What the API answers to a method and path. */
export type Answer<M extends Method, P extends Routes<M>> = paths[P][M] extends { responses: infer R } ? Good<R> : never

/** A rule's no, as the server's problem document tells it (RFC 9457); nothing was changed. */
export class Refusal extends Error {
  constructor(
    readonly code: string,
    readonly status: number,
    readonly facts: Readonly<Record<string, unknown>>,
  ) {
    super(String(facts.detail ?? facts.title ?? code))
  }
}

/** Nobody answered, or nobody knows what came of it. */
export class Unreachable extends Error {}

// Of what may have been lost on the way; sent again with the same Idempotency-Key, so that it is done once.
const WAITS_MS = [600, 1800]
const WAIT_MS_MAX = 12_000

/** Ask the API. Raises Refusal, or Unreachable after some tries: the same asked once more is then done once all the same. */
export async function ask<M extends Method, P extends Routes<M>>(
  method: M,
  path: P,
  wanted: Wanted<paths[P][M]>,
): Promise<Answer<M, P>> {
  const { path: places, query, body } = wanted as Partial<Record<'path' | 'query' | 'body', Record<string, unknown>>>
  const filled = String(path).replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(places?.[name])))
  const header: Record<string, string> = { 'accept-language': language.value }
  const token = accountOf()?.token
  if (token) header.authorization = `Bearer ${token}`
  const wish = `${token} ${method} ${filled} ${JSON.stringify(body)}`
  if (method !== 'get') header['idempotency-key'] = keyOf(wish, newKey)
  for (const wait of [...WAITS_MS, undefined]) {
    const sent = await send(method, `${origin()}${filled}${asQuery(query)}`, body, header)
    if (sent && sent.statusCode < 500) {
      answered(wish)
      if (sent.statusCode < 300) return sent.data as Answer<M, P>
      throw refusalOf(sent)
    }
    if (wait === undefined) break
    await new Promise((resume) => setTimeout(resume, wait))
  }
  throw new Unreachable(filled)
}

/** Where the API is: in the browser it is where the page came from. */
export function origin(): string {
  // #ifdef H5
  if (import.meta.env.VITE_API === undefined) return ''
  // #endif
  return import.meta.env.VITE_API ?? ''
}

function send(method: Method, url: string, data: Record<string, unknown> | undefined, header: Record<string, string>) {
  return new Promise<UniApp.RequestSuccessCallbackResult | undefined>((resolve) => {
    uni.request({
      method: method.toUpperCase() as 'GET',
      url,
      // Without a body there is no content type either.
      ...(data === undefined ? {} : { data, header: { ...header, 'content-type': 'application/json' } }),
      ...(data === undefined ? { header } : {}),
      timeout: WAIT_MS_MAX,
      success: (sent) => {
        reportRead(true)
        resolve(sent)
      },
      fail: () => {
        reportRead(false)
        resolve(undefined)
      },
    })
  })
}

function refusalOf({ statusCode, data }: UniApp.RequestSuccessCallbackResult): Refusal {
  // #ifdef MP-WEIXIN
  if (typeof data === 'string') data = JSON.parse(data) as object
  // #endif
  const facts = (typeof data === 'object' ? data : {}) as Record<string, unknown>
  if (statusCode === 401) forgetAccount()
  return new Refusal(String(facts.code ?? statusCode), statusCode, facts)
}

function asQuery(query: Record<string, unknown> | undefined): string {
  const given = Object.entries(query ?? {}).filter(([, value]) => value !== undefined && value !== null)
  const text = given.map(([name, value]) => `${name}=${encodeURIComponent(String(value))}`).join('&')
  return text && `?${text}`
}

function newKey(): string {
  const part = () => Math.random().toString(36).slice(2, 12).padEnd(10, '0')
  return `w-${part()}${part()}`
}
