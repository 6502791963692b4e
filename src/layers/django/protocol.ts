/** What the two protocols of channels_redis have in common for the layer. */
import { GroupcastError } from '../../errors.ts'
import type { Interest } from '../broker/interest.ts'
import type { Attempt, Session } from '../broker/lifeline.ts'
import { RedisConnection } from '../broker/redis-connection.ts'
import { explained, isFatal, refusalOf } from '../broker/redis-errors.ts'
import type { Inbox } from './inbox.ts'
import type { Settings } from './options.ts'

/** What a protocol needs to know of the layer that uses it. */
export interface ProtocolNode {
  readonly settings: Settings
  readonly nodeId: string
  readonly inbox: Inbox
  /** Whether this node is to get what comes of a group. */
  has(group: string): boolean
}

/** One of the two protocols. Outlives sessions. */
export interface Protocol {
  /** How long a group stays added that has no members here any more; not given: a while. */
  readonly lingerMs?: number
  /** Whether the protocol has another use for what a channel would be called. */
  isReserved(channel: string): boolean
  /**
   * Connects and adds the groups again; what comes is held back until the session's `begin`. What it opened before it failed it has
   * destroyed.
   */
  open(attempt: Attempt, groups: readonly string[]): Promise<DjangoSession>
  /** The next message of a channel that is not this node's. @param session gives the session, or the next one */
  receive(
    channel: string,
    signal: AbortSignal | undefined,
    session: () => Promise<DjangoSession>,
  ): Promise<string>
  /** Forgets what waits in this process. */
  flush(): void
  /** Ends all that waits, with this. */
  close(reason: Error): void
}

/** The connections of a protocol while they last. */
export interface DjangoSession extends Session {
  /** Hands over what comes from now on. Called once, when the layer is ready. */
  begin(): void
  groupAdd(group: string): Promise<void>
  groupDiscard(group: string): Promise<void>
  /** Resolves when all has come that was sent to the group before; see {@link Interest}. */
  fence(group: string): Promise<void>
  groupSend(group: string, encoded: Buffer): Promise<unknown>
  /** @throws {ChannelFullError} */
  send(channel: string, encoded: Buffer): Promise<unknown>
  flush(): Promise<void>
}

/** Connects several times to each host. Rejects with the first failure, and has destroyed all then. */
export async function connectAll<T extends string>(
  { hosts, timeoutMs }: Settings,
  attempt: Attempt,
  purposes: readonly T[],
): Promise<Record<T, RedisConnection>[]> {
  const opened: RedisConnection[] = []
  const lost = (error: unknown) => attempt.lost(explained(error))
  try {
    return await Promise.all(
      hosts.map(async (make) => {
        const entries = purposes.map((purpose) => {
          const connection = new RedisConnection({ make, connectTimeoutMs: timeoutMs, onLost: lost })
          opened.push(connection)
          return [purpose, connection] as const
        })
        await Promise.all(entries.map(([, connection]) => connection.connect()))
        await Promise.all(entries.map(([, connection]) => assertPrimary(connection)))
        return Object.fromEntries(entries) as Record<T, RedisConnection>
      }),
    )
  } catch (error) {
    for (const connection of opened) connection.destroy()
    throw explained(error)
  }
}

/**
 * Rejects where the server is a replica. It takes publications, which reach nobody on the primary, and says nothing; what writes would be refused.
 */
export async function assertPrimary(connection: RedisConnection): Promise<void> {
  const role = await roleOf(connection)
  if (role === 'master') return
  throw new Error(`READONLY The server is a ${role}, not a primary: a failover may be under way.`)
}

/** Asked in the way that takes no permission but to connect. */
async function roleOf(connection: RedisConnection): Promise<unknown> {
  try {
    const fields = (await connection.send('HELLO')) as unknown[]
    return fields[fields.indexOf('role') + 1]
  } catch (error) {
    // Redis before 6, which lets everybody ask so.
    if (!/unknown command/i.test(String(error))) throw error
    return ((await connection.send('ROLE')) as unknown[])[0]
  }
}

/** A reply that is also looked at: some say that the session is of no use any more. */
export function watched<T>(attempt: Attempt, reply: Promise<T>): Promise<T> {
  reply.catch((error) => {
    // Whoever waits for it hears of the refusal first: it says that nothing has happened.
    if (isFatal(error)) setImmediate(() => attempt.lost(explained(error)))
  })
  return reply
}

/**
 * What becomes of a reader whose session failed: it goes on with the next one.
 *
 * @throws {GroupcastError} `layer-unavailable` where Redis refused: the next session would hear the same
 */
export async function readOn(error: unknown): Promise<void> {
  const refusal = refusalOf(error)
  if (refusal !== null) {
    throw new GroupcastError('layer-unavailable', `Redis refused to read: ${refusal}`, { cause: error })
  }
  // The session may not have been noticed to be lost.
  await new Promise(setImmediate)
}
