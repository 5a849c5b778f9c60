/** The API, typed by its own OpenAPI document: `await good(api.GET('/v1/campuses/{campus}', { params: { path } }))`. */

import type { paths } from '@client/schema'
import { answered, keyOf } from '@shared/keys'
import createClient from 'openapi-fetch'
import { account, forgetAccount } from '@/account'
import { reportRead } from '@/live/link'
import { language } from '@/locale'

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

// Every write gets a key of its own below; its caller need not make one.
type Unkeyed<O> = O extends { parameters: infer P } ? Omit<O, 'parameters'> & { parameters: Omit<P, 'header'> } : O
type Routes = { [P in keyof paths]: { [M in keyof paths[P]]: Unkeyed<paths[P][M]> } }

// Of what may have been lost on the way; sent again with the same Idempotency-Key, so that it is done once.
const WAITS_MS = [600, 1800]
const WAIT_MS_MAX = 12_000

export const api = createClient<Routes>({ baseUrl: location.origin, fetch: askUntilAnswered })

api.use({
  async onRequest({ request }) {
    request.headers.set('accept-language', language.value)
    if (account.value) request.headers.set('authorization', `Bearer ${account.value.token}`)
    if (request.method !== 'GET') request.headers.set('idempotency-key', keyOf(await wishOf(request), newKey))
  },
})

/** What a call was answered, when that was good. Raises Refusal, or Unreachable after some tries. */
export async function good<T>(call: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
  const { data, error, response } = await call
  if (response.ok) return data as T
  const facts = (typeof error === 'object' ? error : {}) as Record<string, unknown>
  if (response.status === 401) forgetAccount()
  throw new Refusal(String(facts.code ?? response.status), response.status, facts)
}

/** A file of the API, which wants the session's token like everything else. Raises Refusal or Unreachable. */
export async function fileAt(path: string): Promise<Blob> {
  const headers = { 'accept-language': language.value, authorization: `Bearer ${account.value?.token}` }
  const response = await askUntilAnswered(new Request(path, { headers }))
  if (response.ok) return response.blob()
  const facts = (await response.json().catch(() => ({}))) as Record<string, unknown>
  throw new Refusal(String(facts.code ?? response.status), response.status, facts)
}

/** What is asked for, and who asks. */
async function wishOf(request: Request): Promise<string> {
  const { method, url, headers } = request
  return `${headers.get('authorization')} ${method} ${url} ${await request.clone().text()}`
}

// Whoever asks for the same once more after that asks with the same key.
async function askUntilAnswered(request: Request): Promise<Response> {
  for (const wait of [...WAITS_MS, undefined]) {
    const response = await ask(request.clone())
    if (response && response.status < 500) {
      if (request.method !== 'GET') answered(await wishOf(request))
      return response
    }
    if (wait === undefined) break
    await new Promise((resume) => setTimeout(resume, wait))
  }
  throw new Unreachable(request.url)
}

async function ask(request: Request): Promise<Response | undefined> {
  try {
    const response = await fetch(request, { signal: AbortSignal.timeout(WAIT_MS_MAX) })
    reportRead(true)
    return response
  } catch {
    reportRead(false)
    return undefined
  }
}

function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(15))
  return `c-${[...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('')}`
}
