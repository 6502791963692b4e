import { Refusal } from '../errors.ts'
import { parseJson } from '../json.ts'
import { messageProblem } from '../message.ts'
import { badName, isGroupName, quote } from '../names.ts'

/** What a client says, checked in form: `docs/protocol.md` lists the commands. */
export type ClientFrame =
  | { readonly kind: 'send'; readonly message: { readonly type: string }; readonly reply: ReplyId }
  | { readonly kind: 'join'; readonly group: string; readonly history: number; readonly reply: ReplyId }
  | { readonly kind: 'leave'; readonly group: string; readonly reply: ReplyId }
  | {
      readonly kind: 'publish'
      readonly group: string
      readonly message: { readonly type: string }
      readonly reply: ReplyId
    }
  /** A new token, in the place of the one that the connection came with. */
  | { readonly kind: 'token'; readonly token: string; readonly reply: ReplyId }
  /** A command whose content is wrong: answered like one that is refused. */
  | { readonly kind: 'invalid'; readonly fault: Refusal; readonly reply: ReplyId }

/** What a client asks to be answered with; `null` asks for no answer. */
type ReplyId = number | string | null

/** Which forms a client may use: `message` is the message itself, `command` an envelope such as `{"join":"a"}`. */
export type FrameForms = 'message' | 'command' | 'both'

/**
 * @throws {Refusal} or {GroupcastError} `invalid-json`, `json-too-deep`, `invalid-message`, `invalid-name`
 */
export function parseClientFrame(text: string, forms: FrameForms, maxDepth: number): ClientFrame {
  const value = parseJson(text, maxDepth)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalid(`Send a JSON object; this is ${quote(value)}.`)
  }
  // A message has a type, and so a token is none, also where messages are all that is said.
  const isMessage = Object.hasOwn(value, 'type') || !Object.hasOwn(value, 'token')
  if ((forms === 'message' && isMessage) || (forms === 'both' && Object.hasOwn(value, 'type'))) {
    return { kind: 'send', message: checkedMessage(value), reply: null }
  }
  return parseCommand(value as Record<string, unknown>)
}

const COMMANDS = ['join', 'leave', 'send', 'publish', 'token'] as const

function parseCommand(value: Record<string, unknown>): ClientFrame {
  const kinds = COMMANDS.filter((kind) => Object.hasOwn(value, kind))
  const [kind] = kinds
  if (kind === undefined || kinds.length > 1) {
    throw invalid(`Send an object with exactly one of ${COMMANDS.join(', ')}.`)
  }
  const reply = replyId(value.reply)
  try {
    return commandOf(kind, value, reply)
  } catch (fault) {
    if (fault instanceof Refusal) return { kind: 'invalid', fault, reply }
    throw fault
  }
}

function commandOf(
  kind: (typeof COMMANDS)[number],
  value: Record<string, unknown>,
  reply: ReplyId,
): ClientFrame {
  const body = value[kind]
  switch (kind) {
    case 'join':
      return { kind, group: checkedGroup(body), history: checkedHistory(value.history), reply }
    case 'leave':
      return { kind, group: checkedGroup(body), reply }
    case 'send':
      return { kind, message: checkedMessage(body), reply }
    case 'publish': {
      const { group, message } = (body ?? {}) as { group?: unknown; message?: unknown }
      return { kind, group: checkedGroup(group), message: checkedMessage(message), reply }
    }
    case 'token':
      if (typeof body !== 'string' || body === '')
        throw invalid('A token is a text of at least one character.')
      return { kind, token: body, reply }
    default:
      return kind satisfies never
  }
}

function replyId(value: unknown): ReplyId {
  if (value === undefined || value === null) return null
  if (typeof value === 'number' || (typeof value === 'string' && value.length <= 64)) return value
  throw invalid(`A reply id is a number or a string of at most 64 characters; this is ${quote(value)}.`)
}

function checkedGroup(value: unknown): string {
  if (!isGroupName(value)) throw new Refusal('invalid-name', badName('group', value))
  return value
}

function checkedHistory(value: unknown): number {
  if (value === undefined) return 0
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value
  throw invalid(`history is how many messages are wanted, a whole number from 0; this is ${quote(value)}.`)
}

function checkedMessage(value: unknown): { readonly type: string } {
  const problem = messageProblem(value)
  if (problem !== null) throw invalid(problem)
  return value as { readonly type: string }
}

function invalid(text: string): Refusal {
  return new Refusal('invalid-message', text)
}
