import type { Clock } from '../clock.ts'
import type { Identity } from '../identity.ts'
import type { ChannelLayer } from '../layers/layer.ts'
import type { MessageCheck } from '../message.ts'
import { REFUSED_FOR } from '../rates.ts'
import type { Groups } from './groups.ts'
import { Histogram } from './histogram.ts'
import type { Sent } from './hub-api.ts'
import type { LiveConnection } from './live-connection.ts'
import type { Meters, RefusalCounts } from './meters.ts'
import type { OutboxHost } from './outbox.ts'
import type { Recall } from './recall.ts'
import type { Sessions } from './sessions.ts'

/** What a connection needs of its hub. One object for all connections. */
export interface ConnectionHost extends OutboxHost {
  readonly nodeId: string
  readonly layer: ChannelLayer
  readonly messages: MessageCheck
  readonly groups: Groups
  readonly recall: Recall
  readonly clock: Clock
  readonly counters: Counters
  readonly sessions: Sessions
  readonly meters: Meters
  /**
   * Finds out whose a connection is that knocks; `null`, at once, where nobody needs to be asked.
   *
   * @throws {Refusal} what it is refused with
   */
  identify(connection: LiveConnection): Promise<void> | null
  /**
   * Puts a new token in the place of the one that a connection came with. @returns the identity
   *
   * @throws {Refusal} `invalid-token`, `revoked`, `forbidden` for one of somebody else, `not-supported`
   */
  refresh(connection: LiveConnection, token: string): Promise<Identity>
  groupSend(group: string, message: { readonly type: string }): Promise<Sent>
  /** The connection is live. */
  opened(connection: LiveConnection): void
  /** It is gone; its hooks may still run. */
  closed(connection: LiveConnection): void
  /** Its `disconnect` has run: nothing will come of it any more. */
  finished(connection: LiveConnection): void
  /** A failure that nobody awaits. */
  report(error: unknown, where: string, connection?: LiveConnection): void
}

/** See `HubStats`, which is a copy of these. */
export class Counters {
  opened = 0
  denied = 0
  received = 0
  publications = 0
  deliveries = 0
  slowConsumers = 0
  dropped = 0
  dead = 0
  errors = 0
  resumed = 0
  resets = 0
  recalled = 0
  failedAuthentications = 0
  refreshedTokens = 0
  expiredTokens = 0
  revocations = 0
  revokedConnections = 0
  issuedTickets = 0
  usedTickets = 0
  readonly authenticationSeconds = new Histogram()
  readonly rateRefusals = Object.fromEntries(REFUSED_FOR.map((name) => [name, 0])) as RefusalCounts
}
