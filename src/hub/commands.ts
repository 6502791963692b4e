import { errorCodeOf, Refusal } from '../errors.ts'
import type { ClientFrame } from './client-frame.ts'
import type { ConnectionHost } from './connection-host.ts'
import { asRefusal } from './denial.ts'
import type { LiveConnection } from './live-connection.ts'

type Command = (connection: LiveConnection, frame: never, host: ConnectionHost) => Promise<unknown>

type FrameOf<Kind extends ClientFrame['kind']> = Extract<ClientFrame, { kind: Kind }>

/** What each command of a client does; what it resolves to is the `result` of the reply. */
const COMMANDS = {
  async send(connection, { message }: FrameOf<'send'>, host) {
    const { consumer } = connection.route
    if (consumer.receive === undefined) {
      throw new Refusal('not-supported', 'The consumer at this URL takes no messages.')
    }
    return consumer.receive(connection, await checked(message, host))
  },
  async join(connection, { group, history }: FrameOf<'join'>) {
    assertSupported(connection, 'join groups')
    await connection.join(group, { history, checked: true })
    return { group }
  },
  async leave(connection, { group }: FrameOf<'leave'>) {
    await connection.leave(group)
    return { group }
  },
  async publish(connection, { group, message }: FrameOf<'publish'>, host) {
    assertSupported(connection, 'publish')
    if (!(await connection.allows('send', group))) throw new Refusal('forbidden')
    try {
      return await host.groupSend(group, message)
    } catch (error) {
      // It is the client's message that does not fit.
      throw errorCodeOf(error) === 'invalid-message' ? asRefusal(error) : error
    }
  },
  async token(connection, { token }: FrameOf<'token'>, host) {
    const { id } = await host.refresh(connection, token)
    await connection.lookAgain()
    return { identity: id, expiresInMs: host.sessions.leftMs(connection) }
  },
  async invalid(_connection, { fault }: FrameOf<'invalid'>) {
    throw fault
  },
} satisfies Record<ClientFrame['kind'], Command>

/**
 * Does what a client asked for.
 *
 * @throws {Refusal} where the consumer does not allow it; whatever the consumer's hook throws
 */
export function perform(
  connection: LiveConnection,
  frame: ClientFrame,
  host: ConnectionHost,
): Promise<unknown> {
  // The table's types pair each kind with its frame; TypeScript cannot follow a pair through a lookup.
  return (COMMANDS[frame.kind] as Command)(connection, frame as never, host)
}

/** The message as its schema returns it. @throws {Refusal} `invalid-message`: the client's fault, unlike what the application sends */
async function checked(
  message: { readonly type: string },
  { messages }: ConnectionHost,
): Promise<{ readonly type: string }> {
  if (!messages.isOn) return message
  try {
    return await messages.parse(message)
  } catch (error) {
    throw asRefusal(error)
  }
}

/** @throws {Refusal} `not-supported` where nothing could ever allow it */
function assertSupported({ isAskable }: LiveConnection, what: string): void {
  if (isAskable) return
  throw new Refusal('not-supported', `The consumer at this URL lets no client ${what}.`)
}
