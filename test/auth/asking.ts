/** Asks a hook `authenticate` as a hub does, without a hub. */
import type { Authenticate, AuthenticationRequest, GivenIdentity } from 'groupcast'
import { errorCodeOf } from '../../src/errors.ts'

interface Given {
  readonly token?: string | null
  readonly query?: string
  readonly cookies?: Readonly<Record<string, string>>
}

export function requestOf({ token = null, query = '', cookies = {} }: Given): AuthenticationRequest {
  return {
    method: 'GET',
    url: `/events?${query}`,
    path: '/events',
    query: new URLSearchParams(query),
    remoteAddress: '127.0.0.1',
    encrypted: false,
    header: () => undefined,
    token,
    cookie: (name) => (Object.hasOwn(cookies, name) ? cookies[name] : undefined),
    identity: null,
    signal: new AbortController().signal,
  }
}

/** The identity, or `code: reason` of the refusal. */
export async function ask(hook: Authenticate, given: Given): Promise<GivenIdentity | string | null> {
  try {
    return await hook(requestOf(given))
  } catch (error) {
    const code = errorCodeOf(error)
    if (code === null) throw error
    return `${code}: ${(error as Error).message}`
  }
}
