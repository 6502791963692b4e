/** Messages: JSON objects with a string `type`. How they are typed, checked and turned into JSON text. */
import type { StandardSchemaV1 } from '@standard-schema/spec'
import { GroupcastError, MisuseError } from './errors.ts'
import { quote } from './names.ts'

/**
 * The messages of a hub by type: `interface Messages { 'chat.message': { user: string; text: string } }`.
 * The fields of a type are those beside `type` itself.
 */
export type AnyMessages = Record<string, Record<string, unknown>>

/** A message of the map `M`, as it is sent and received: its fields and its `type`. */
export type MessageOf<M, T extends keyof M & string = keyof M & string> = T extends unknown
  ? { readonly type: T } & M[T]
  : never

/** A schema for the fields of each type (zod, valibot, arktype: whatever speaks Standard Schema). */
export type MessageSchemas<M> = {
  readonly [T in keyof M]: StandardSchemaV1<unknown, M[T]>
}

/** Message types that start so belong to the protocol. */
export const RESERVED_PREFIX = 'groupcast.'

/** @throws {MisuseError} (a `TypeError`, code `invalid-message`) unless `message` is an object with an allowed `type` */
export function assertMessage(message: unknown): asserts message is { readonly type: string } {
  const problem = messageProblem(message)
  if (problem !== null) throw new MisuseError('invalid-message', problem)
}

/**
 * The JSON text of a message.
 *
 * @throws {MisuseError} (a `TypeError`, code `invalid-message`) unless it is an object with an allowed `type` that JSON can carry
 */
export function encodeMessage(message: unknown): string {
  assertMessage(message)
  try {
    return JSON.stringify(message)
  } catch (error) {
    // BigInts and cycles.
    const why = error instanceof Error ? error.message : String(error)
    throw new MisuseError('invalid-message', `JSON cannot carry this ${quote(message.type)} message: ${why}`)
  }
}

/** What is wrong with a message, or `null`. */
export function messageProblem(message: unknown): string | null {
  if (typeof message !== 'object' || message === null || Array.isArray(message)) {
    return `A message is an object with a string "type"; this is ${quote(message)}.`
  }
  const type = (message as { type?: unknown }).type
  if (typeof type !== 'string' || type === '') {
    return `A message needs a "type" that is a string of at least one character; this one has ${quote(type)}.`
  }
  // What it returns would be sent unchecked, and its type may be a reserved one.
  if ('toJSON' in message && typeof message.toJSON === 'function') {
    return `A message is plain data; this ${quote(type)} message has a toJSON method.`
  }
  if (type.startsWith(RESERVED_PREFIX)) {
    return `Message types that start with "${RESERVED_PREFIX}" are reserved; ${quote(type)} is not allowed.`
  }
  return null
}

/** Checks messages against the schemas of their types. Without schemas every message passes. */
export class MessageCheck {
  readonly #schemas: ReadonlyMap<string, StandardSchemaV1> | null

  constructor(schemas: Readonly<Record<string, StandardSchemaV1>> | undefined) {
    this.#schemas = schemas === undefined ? null : new Map(Object.entries(schemas))
  }

  get isOn(): boolean {
    return this.#schemas !== null
  }

  /**
   * The message as its schema returns it, with its `type`.
   *
   * @throws {GroupcastError} (code `invalid-message`) for an unknown type or fields that do not fit, with the schema's reasons
   */
  async parse(message: { readonly type: string }): Promise<{ readonly type: string }> {
    if (this.#schemas === null) return message
    const { type, ...fields } = message
    const schema = this.#schemas.get(type)
    if (schema === undefined) {
      const known = [...this.#schemas.keys()].map((name) => quote(name)).join(', ')
      throw new GroupcastError(
        'invalid-message',
        `There is no message type ${quote(type)}. The types are ${known}.`,
      )
    }
    const result = await schema['~standard'].validate(fields)
    if (result.issues !== undefined) {
      throw new GroupcastError(
        'invalid-message',
        `A ${quote(type)} message does not fit: ${issuesText(result.issues)}.`,
      )
    }
    return { ...(result.value as object), type }
  }
}

function issuesText(issues: readonly StandardSchemaV1.Issue[]): string {
  const texts = issues.map(({ path, message }) => {
    const where = path?.map((part) => String(typeof part === 'object' ? part.key : part)).join('.')
    return where === undefined || where === '' ? message : `${where}: ${message}`
  })
  return texts.join('; ')
}

/** @throws {MisuseError} `invalid-option` unless every entry is a Standard Schema */
export function assertSchemas(schemas: Readonly<Record<string, unknown>> | undefined): void {
  for (const [type, schema] of Object.entries(schemas ?? {})) {
    const standard = (schema as { '~standard'?: { validate?: unknown } } | null)?.['~standard']
    if (typeof standard?.validate === 'function') continue
    throw new MisuseError(
      'invalid-option',
      `messages[${quote(type)}] must be a Standard Schema (zod, valibot, arktype, …).`,
    )
  }
}
