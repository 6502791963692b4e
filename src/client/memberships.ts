import type { JoinOptions } from './client.ts'
import type { ClientError } from './client-error.ts'
import type { Connection } from './connection.ts'
import type { Settings } from './options.ts'
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
  /** A live message of the group has come: whoever asked to join it has, and the next connection can resume it, answer or not. */
  seen(group: string): void
  /** Sends what could not be sent, or was not answered, before. */
  opened(connection: Connection): void
  /** There will be no other connection. */
  fail(error: ClientError): void
}

/** @param onHole told of a group of which messages may have been missed */
export function createMemberships(
  { groups: given, clock, firstWaitMs }: Settings,
  repeats: Repeats,
  onHole: (group: string) => void,
): Memberships {
  const groups = new Set(given)
  const changes = new Set<Change>()
  /** What was asked for last, by group. */
  const newest = new Map<string, Change['kind']>()

  /**
   * The post was lost and the stream was not: whether it arrived is not known. To ask twice does no harm, but not after what was asked
   * for since.
   */
  const askAgain = (change: Change, connection: Connection) => {
    const cancel = clock.after(firstWaitMs, () => {
      if (newest.get(change.group) === change.kind) {
        send(change, connection)
      } else {
        changes.delete(change)
        change.resolve()
      }
    })
    connection.ended.then(cancel)
  }

  const send = async (change: Change, connection: Connection, isHalfDone?: boolean) => {
    const { kind, group, options, resolve, reject } = change
    try {
      await connection.request({ [kind]: group, ...options })
      if (kind === 'join') {
        groups.add(group)
        if (isHalfDone) onHole(group)
      } else {
        // Again: the answer to an earlier join may have come meanwhile.
        groups.delete(group)
        repeats.forget(group)
      }
      resolve()
    } catch (error) {
      // Lost before the answer: the next connection asks again.
      if (!connection.isOpen) return
      if ((error as ClientError).code === 'disconnected') {
        askAgain(change, connection)
        return
      }
      reject(error)
    }
    changes.delete(change)
  }

  return {
    groups,
    change: (kind, group, options, connection) =>
      new Promise((resolve, reject) => {
        const change = { kind, group, options, resolve, reject }
        changes.add(change)
        newest.set(group, kind)
        if (kind === 'leave') groups.delete(group)
        if (connection?.isOpen) send(change, connection)
      }),
    seen(group) {
      for (const change of changes) if (change.group === group && change.kind === 'join') groups.add(group)
    },
    opened(connection) {
      // Cut in the middle of what a group had before, it joins anew: between that and its newest messages some may be missing.
      for (const change of changes)
        send(change, connection, !groups.has(change.group) && repeats.knows(change.group))
    },
    fail(error) {
      for (const { reject } of changes) reject(error)
    },
  }
}
