/** What the envelopes of the protocol say. */
import { closedWith, type Ending, type Received } from './transport.ts'

/** What one text means; `null` for control objects that a subscriber need not see. */
type Meaning = Received | { readonly kind: 'close'; readonly ending: Ending } | null

/** An envelope: a message, which is told with or without it, or a control object. */
export function readEnvelope(text: string, keepEnvelope: boolean): Meaning {
  const value = parse(text)
  if (value === null) return notJson(text)
  if ('message' in value) {
    const json = keepEnvelope ? text : messageIn(text, value.message)
    return { kind: 'message', json: oneLineJson(json), cursor: cursorIn(value) }
  }
  if ('open' in value) return { kind: 'position', cursor: cursorIn(value.open) }
  if ('cursor' in value) return { kind: 'position', cursor: cursorIn(value) }
  return 'reset' in value ? reset(value.reset) : 'close' in value ? readClose(value.close) : null
}

/** The value of a `close` control object, which comes before the end of a stream. */
function readClose(value: unknown): Meaning {
  const { code, reason } = Object(value) as { code?: unknown; reason?: unknown }
  const isClose = typeof code === 'number' && typeof reason === 'string'
  return isClose ? { kind: 'close', ending: closedWith(code, reason) } : null
}

/** The value of a `reset` control object: what was missed cannot be proved to be nothing. */
function reset(value: unknown): Meaning {
  const { groups } = Object(value) as { groups?: unknown }
  const names = Array.isArray(groups) ? groups.join(', ') : 'all groups'
  const text = `messages of ${names} may have been missed: reload what depends on them.`
  return { kind: 'notice', text, cursor: cursorIn(value) }
}

function cursorIn(value: unknown): string | null {
  const { cursor } = Object(value) as { cursor?: unknown }
  return typeof cursor === 'string' ? cursor : null
}

function parse(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null
  } catch {
    return null
  }
}

function notJson(text: string): Meaning {
  const notice = `left out ${text.length} characters that are not a JSON object.`
  return { kind: 'notice', text: notice, cursor: null }
}

// What a hub writes before the message, which is the last member.
const BEFORE_MESSAGE = /^\{(?:"group":"(?:[^"\\]|\\.)*",)?(?:"(?:cursor|past)":"(?:[^"\\]|\\.)*",)?"message":/

/** The message's own text where it can be cut out: parsing and writing it again would round large numbers. */
function messageIn(text: string, message: unknown): string {
  const before = BEFORE_MESSAGE.exec(text)?.[0]
  if (before === undefined || !text.endsWith('}')) return JSON.stringify(message)
  const cut = text.slice(before.length, -1)
  return parse(cut) === null ? JSON.stringify(message) : cut
}

/** A line break in JSON is white space between tokens. */
function oneLineJson(json: string): string {
  return json.replace(/[\r\n]+/g, ' ').trim()
}
