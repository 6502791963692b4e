import type { JoinOptions } from './client.ts'
import type { ClientError } from './client-error.ts'
import type { Connection } from './connection.ts'
import type { Repeats } from './repeats.ts'

/** A join or a leave that the hub has not confirmed yet. */
interface Change {
  readonly kind: 'join' | 'leave'
  readonly group: string
  readonly options: JoinOptions | undefined
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/**
 * The groups that a client wants to be in. Those that are confirmed go into the query of the next connection, which resumes them. Others
 * are asked for by command once it is open: one group that is refused in the query would refuse the whole connection.
 */
export interface Memberships {
  readonly groups: Set<string>
  /** Resolves when the hub has done it, on this connection or a later one. */
  change(
    kind: Change['kind'],
    group: string,
    options: JoinOptions | undefined,
    connection: Connection | undefined,
  ): Promise<void>
  /** The client is not in it any more. */
  left(group: string): void
  /** Sends what could not be sent, or was not answered, before. */
  opened(connection: Connection): void
  /** There will be no other connection. */
  fail(error: ClientError): void
}

/** @param onHole told of a group of which messages may have been missed */
export function createMemberships(
  given: readonly string[],
  repeats: Repeats,
  onHole: (group: string) => void,
): Memberships {
  const groups = new Set(given)
  const changes = new Set<Change>()
  const left = (group: string) => {
    groups.delete(group)
    repeats.forget(group)
  }
  const send = async (change: Change, connection: Connection) => {
    const { kind, group, options, resolve, reject } = change
    // Cut between the first messages of a group and the answer, it joins anew: what was sent meanwhile does not come.
    const isHalfDone = !groups.has(group) && repeats.knows(group)
    try {
      await connection.request({ [kind]: group, ...options })
      if (kind === 'join') {
        groups.add(group)
        if (isHalfDone) onHole(group)
      } else {
        // Again: the answer to an earlier join may have come meanwhile.
        left(group)
      }
      resolve()
    } catch (error) {
      // Lost before the answer: the next connection asks again. `disconnected`: a post was lost and the stream was not, so it will be.
      // `layer-…`: the hub's broker is away, and the next connection is let in when it is back.
      if (!connection.isOpen || /^[dl]/.test((error as ClientError).code))
        return connection.end(error as ClientError)
      reject(error)
    }
    changes.delete(change)
  }

  return {
    groups,
    left,
    change: (kind, group, options, connection) =>
      new Promise((resolve, reject) => {
        const change = { kind, group, options, resolve, reject }
        changes.add(change)
        if (kind === 'leave') groups.delete(group)
        if (connection?.isOpen) send(change, connection)
      }),
    opened(connection) {
      for (const change of changes) send(change, connection)
    },
    fail(error) {
      for (const { reject } of changes) reject(error)
    },
  }
}
