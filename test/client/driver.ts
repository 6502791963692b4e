/**
 * Drives clients by name and keeps what they tell, in plain values: the same in Node and, bundled, in a page, so that one suite can be run in
 * both.
 */
import type { Client, ClientOptions, ClientState } from '../../src/client/index.ts'
import { ClientError, connect } from '../../src/client/index.ts'
import { type ManualClock, manualClock } from '../../src/testing/manual-clock.ts'

/** What can be told of an error from another process. */
interface ToldError {
  readonly code: string
  readonly text: string
  readonly closeCode: number | null
  readonly status: number | null
}

/** All that a client has told so far. */
export interface Told {
  readonly state: ClientState
  readonly transport: string | null
  readonly cursor: string | null
  readonly groups: readonly string[]
  readonly states: readonly string[]
  readonly reason: ToldError | null
  /** Each with its context. */
  readonly messages: readonly { readonly type: string; readonly [more: string]: unknown }[]
  readonly contexts: readonly { readonly group: string | null; readonly cursor: string | null }[]
  readonly resets: readonly unknown[]
  readonly dropped: readonly number[]
}

/** What a call came to. */
export type Outcome = { readonly result: unknown } | { readonly error: ToldError }

/** Options that can be told to another process. */
export interface DrivenOptions
  extends Pick<ClientOptions, 'groups' | 'transports' | 'cursor' | 'replyTimeoutMs' | 'fallbackMs'> {
  /** What `getToken` answers, one after the other, the last for ever. */
  readonly tokens?: readonly string[]
  /** Time stands still until it is turned. Otherwise waits are short. */
  readonly isTimeManual?: boolean
  /** Whether the tab remembers a transport that failed. */
  readonly isRemembered?: boolean
}

/** Each function may be called from another process. */
export interface Driver {
  start(name: string, url: string, options: DrivenOptions): void
  told(name: string): Told
  /** Calls `send`, `publish`, `join` or `leave`. */
  call(
    name: string,
    method: 'send' | 'publish' | 'join' | 'leave',
    args: readonly unknown[],
  ): Promise<Outcome>
  advance(name: string, ms: number): void
  close(name: string): void
}

interface Driven {
  readonly client: Client<Record<string, Record<string, unknown>>>
  readonly clock: ManualClock
  readonly told: { -readonly [K in keyof Told]: Told[K] extends readonly (infer T)[] ? T[] : Told[K] }
}

/** @param platform what the platform does not have, or a test replaces */
export function createDriver(platform: Pick<ClientOptions, 'WebSocket'> = {}): Driver {
  const driven = new Map<string, Driven>()
  const get = (name: string) => {
    const found = driven.get(name)
    if (found === undefined) throw new Error(`No client is called ${name}.`)
    return found
  }
  return {
    start(name, url, { tokens, isTimeManual, isRemembered, ...options }) {
      const clock = manualClock()
      const left = [...(tokens ?? [])]
      const client = connect(url, {
        ...platform,
        ...options,
        // Full jitter of nearly nothing: waits of some milliseconds, which still get longer.
        random: () => 0.01,
        ...(!isRemembered && { storage: false }),
        ...(isTimeManual && { clock }),
        ...(tokens && { getToken: () => (left.length > 1 ? left.shift() : left[0]) }),
      })
      driven.set(name, { client, clock, told: record(client) })
    },
    told(name) {
      const { client, told } = get(name)
      const { state, transport, cursor, groups } = client
      return { ...told, state, transport, cursor, groups }
    },
    async call(name, method, args) {
      try {
        const { client } = get(name)
        const result = await (client[method] as (...args: readonly unknown[]) => Promise<unknown>)(...args)
        return { result: result ?? null }
      } catch (error) {
        return { error: toldError(error) }
      }
    },
    advance: (name, ms) => get(name).clock.advance(ms),
    close: (name) => get(name).client.close(),
  }
}

function record(client: Driven['client']): Driven['told'] {
  const { state, transport, cursor } = client
  const told: Driven['told'] = {
    ...{ state, transport, cursor, groups: [], states: [], reason: null },
    ...{ messages: [], contexts: [], resets: [], dropped: [] },
  }
  client.onState((next, reason) => {
    told.states.push(next)
    told.reason = reason === null ? null : toldError(reason)
  })
  client.on('*', (message, context) => {
    told.messages.push(message)
    told.contexts.push(context)
  })
  client.onReset((reset) => told.resets.push(reset))
  client.onDropped((count) => told.dropped.push(count))
  return told
}

function toldError(error: unknown): ToldError {
  if (!(error instanceof ClientError))
    return { code: 'other', text: String(error), closeCode: null, status: null }
  const { code, message, closeCode = null, status = null } = error
  return { code, text: message, closeCode, status }
}
