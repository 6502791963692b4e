/** Names as Django Channels allows them: fewer than a hub does. */
import { MisuseError } from '../../errors.ts'
import { quote } from '../../names.ts'

/** As the code of Channels has it; its documentation says 100. */
const MAX_LENGTH = 99

// ASCII alone, as the specification says. Python's `\d` and `\w`, which Channels uses, let other digits and letters pass, too.
const GROUP = /^[A-Za-z0-9._-]+$/
const CHANNEL = /^[A-Za-z0-9._-]+(?:![A-Za-z0-9._-]*)?$/

const ALLOWED = `1–${MAX_LENGTH} characters of A-Z a-z 0-9 . _ -`

/** @throws {MisuseError} (a `TypeError`, code `invalid-name`) */
export function assertDjangoGroup(name: string): void {
  if (name.length <= MAX_LENGTH && GROUP.test(name)) return
  throw new MisuseError(
    'invalid-name',
    `${quote(name)} is not a group name of Django Channels: use ${ALLOWED}.`,
  )
}

/** @throws {MisuseError} (a `TypeError`, code `invalid-name`) */
export function assertDjangoChannel(name: string): void {
  if (name.length <= MAX_LENGTH && CHANNEL.test(name)) return
  throw new MisuseError(
    'invalid-name',
    `${quote(name)} is not a channel name of Django Channels: use ${ALLOWED}, and at most one ! after the first.`,
  )
}

/** What channels of one process have in common: the name up to and with its `!`. */
export function nonLocalName(channel: string): string {
  const end = channel.indexOf('!')
  return end === -1 ? channel : channel.slice(0, end + 1)
}

const NODE_PREFIX = 'groupcast.'
const HUB = /^groupcast\.([^.!]+)(?:\.\d+)?!/

/**
 * The channel of something on a node, such as a connection. It is one that Django processes can send to, and one that their `channel_capacity` can
 * name: `groupcast.*`.
 */
export function nodeChannel(nodeId: string, localId: string): string {
  return `${NODE_PREFIX}${nodeId}!${localId}`
}

/** The node whose channel it is; `null` for channels of Django processes and workers. */
export function nodeOf(channel: string): string | null {
  const end = channel.indexOf('!')
  return end !== -1 && channel.startsWith(NODE_PREFIX) ? channel.slice(NODE_PREFIX.length, end) : null
}

/** The node of a channel that belongs to a hub, also of one under which it is in a group; `null` for all other channels. */
export function hubOf(channel: string): string | null {
  return HUB.exec(channel)?.[1] ?? null
}

/** Whether a channel, or what comes before its `!`, belongs to a hub. */
export function isOfHub(channel: string): boolean {
  return hubOf(channel) !== null
}
