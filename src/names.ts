/** Names of groups and channels, as section 9 of the design bounds them. A layer may be stricter and says so. */
import { MisuseError } from './errors.ts'

/** The longest name, in characters; every allowed character is one byte. */
export const MAX_NAME_LENGTH = 255

// No `!` in names that people choose: it separates a node from one of its channels, as in Django Channels.
const NAME = /^[A-Za-z0-9._~:@#$/-]{1,255}$/
const CHANNEL = /^[A-Za-z0-9._~:@#$/-]{1,255}(?:![A-Za-z0-9._~:@#$/-]*)?$/

const ALLOWED = `1–${MAX_NAME_LENGTH} characters of A-Z a-z 0-9 . _ ~ : @ # $ / -`

/** The group in which nodes tell each other what concerns all of them. No client and no application can be in it, or send to it. */
export const NODES_GROUP = 'groupcast.nodes'

/** Whether `name` can name a group. Anything but a string cannot. */
export function isGroupName(name: unknown): name is string {
  return typeof name === 'string' && NAME.test(name) && name !== NODES_GROUP
}

/** Whether `name` can name a channel: like a group, or `node!local` as a hub makes them. */
export function isChannelName(name: unknown): name is string {
  return typeof name === 'string' && name.length <= MAX_NAME_LENGTH && CHANNEL.test(name)
}

/** @throws {MisuseError} (a `TypeError`, code `invalid-name`) for anything but a valid group name */
export function assertGroupName(name: unknown): asserts name is string {
  if (!isGroupName(name)) throw new MisuseError('invalid-name', badName('group', name))
}

/** @throws {MisuseError} (a `TypeError`, code `invalid-name`) for anything but a valid channel name */
export function assertChannelName(name: unknown): asserts name is string {
  if (!isChannelName(name)) throw new MisuseError('invalid-name', badName('channel', name))
}

/** The text for a bad name: what was given, shortened and escaped, and what is allowed. */
export function badName(kind: 'group' | 'channel', name: unknown): string {
  return `${quote(name)} is not a ${kind} name: use ${ALLOWED}.`
}

/** A value as it can stand in an error text or a log line: JSON, cut to 80 characters, control characters escaped. */
export function quote(value: unknown): string {
  let text: string
  try {
    text = JSON.stringify(value) ?? String(value)
  } catch {
    // Cycles, BigInts, a throwing toJSON and arrays nested beyond the stack still deserve an error text.
    text = typeof value === 'object' ? Object.prototype.toString.call(value) : String(value)
  }
  return text.length > 80 ? `${text.slice(0, 79)}…` : text
}
