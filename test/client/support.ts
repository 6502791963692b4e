/** A client on a fake network, with time that is turned by hand. */
import {
  type Client,
  type ClientError,
  type ClientOptions,
  type ClientState,
  type ClientTransport,
  connect,
} from 'groupcast/client'
import { type ManualClock, manualClock } from 'groupcast/testing'
import { onTestFinished } from 'vitest'
import { until } from '../support/until.ts'
import { type Attempt, FakeNetwork } from './fake-network.ts'

export interface Setup {
  readonly client: Client<Record<string, Record<string, unknown>>>
  readonly network: FakeNetwork
  readonly clock: ManualClock
  /** Every change of the state. */
  readonly states: { readonly state: ClientState; readonly reason: ClientError | null }[]
  /** The messages handed out. */
  readonly messages: { readonly type: string; readonly [field: string]: unknown }[]
  /** The next attempt, opened. */
  opened(more?: object): Promise<Attempt>
  reaches(state: ClientState): Promise<void>
}

/** Waits take the whole of their bound, so that they can be measured. */
const LONGEST = () => 1

/** Starts a client; it is closed with the test, and must then hold nothing. */
export function setUp(options: ClientOptions = {}): Setup {
  const network = new FakeNetwork()
  const clock = manualClock()
  const client = connect('http://hub.test/events?mine=1', {
    clock,
    random: LONGEST,
    fetch: network.fetch,
    WebSocket: network.WebSocket,
    storage: false,
    events: false,
    ...options,
  })
  const states: Setup['states'] = []
  const messages: Setup['messages'] = []
  client.onState((state, reason) => states.push({ state, reason }))
  client.on('*', (message) => messages.push(message))
  onTestFinished(async () => {
    client.close()
    await until('no timer is left', () => clock.pending === 0)
  })
  const reaches = (state: ClientState) => until(`it is ${state}`, () => client.state === state)
  return {
    client,
    network,
    clock,
    states,
    messages,
    async opened(more) {
      const attempt = await network.next()
      attempt.open(more)
      await reaches('open')
      return attempt
    },
    reaches,
  }
}

export const TRANSPORTS: readonly ClientTransport[] = ['websocket', 'sse']
