/** What requests and answers look like: the same schemas check the requests and make up the OpenAPI description. */
import { z } from 'zod'
import { ERRORS, type ErrorCode, Refusal } from '../errors.ts'
import { isIdentityId } from '../identity.ts'
import { isChannelName, isGroupName } from '../names.ts'

interface Docs {
  /** The name of the schema in the description; those without one stand where they are used. */
  readonly id?: string
  readonly description?: string
  /** For a check that JSON Schema cannot express by itself. */
  readonly pattern?: string
  readonly examples?: readonly unknown[]
}

/** What the description adds to the schemas. Not zod's global registry: that belongs to the application. */
export const DOCS = z.registry<Docs>()

/** The schemas that have a name in the description. */
export const NAMED: Map<string, z.ZodType> = new Map()

function named<Schema extends z.ZodType>(id: string, schema: Schema, docs: Docs = {}): Schema {
  DOCS.add(schema, { ...docs, id })
  NAMED.set(id, schema)
  return schema
}

function documented<Schema extends z.ZodType>(schema: Schema, docs: Docs): Schema {
  DOCS.add(schema, docs)
  return schema
}

// JSON Schema has no functions, so the pattern says it once more; a test holds the two together.
export const GROUP_NAME = named('GroupName', z.string().refine(isGroupName), {
  description: 'The name of a group.',
  pattern: '^[A-Za-z0-9._~:@#$/-]{1,255}$',
  examples: ['chat.lobby'],
})

export const CHANNEL_NAME = named('ChannelName', z.string().refine(isChannelName), {
  description: 'The name of a channel: like a group’s, or `node!local` for the channel of a connection.',
  pattern: '^(?=.{1,255}$)[A-Za-z0-9._~:@#$/-]+(?:![A-Za-z0-9._~:@#$/-]*)?$',
  examples: ['thumbnails'],
})

export const CONNECTION_ID = documented(z.string().min(1), {
  description: 'The id that the `open` envelope carries.',
})

export const IDENTITY_ID = documented(z.string().min(1).max(255).refine(isIdentityId), {
  description: 'The id that `authenticate` gave the identity: of a token, its `sub`.',
})

// Requests are not checked with this one: the hub checks messages, also those that come by other ways.
export const MESSAGE = named(
  'Message',
  z.looseObject({
    type: z
      .string()
      .min(1)
      .regex(/^(?!groupcast\.)/),
  }),
  {
    description: 'A JSON object with a string `type`; types that start with `groupcast.` are reserved.',
    examples: [{ type: 'chat.message', user: 'ann', text: 'hi' }],
  },
)

const POSITION = named('Position', z.string().regex(/^[A-Za-z0-9._~-]{1,128}$/), {
  description: 'A cursor: "everything up to here, in all groups". What is inside is the hub’s business.',
})

const CURSOR = named('Cursor', POSITION.nullable(), {
  description: 'The position after the message, to resume from; `null` where the group keeps no history.',
})

export const SENT = named('Sent', z.strictObject({ cursor: CURSOR }))

/** A publish as far as it is checked as a whole: names and the message are the hub's to check, so that a bad group fails alone. */
export function publishSchema(maxGroups: number) {
  const groups = documented(z.array(z.string()).min(1).max(maxGroups), {
    description: 'The groups that get the message, one send for each. A name that is not valid fails alone.',
  })
  const message = documented(z.unknown(), {
    description: 'A Message. One that is not valid fails for each group.',
  })
  return documented(z.strictObject({ groups, message }), {
    description: 'One message for several groups.',
    examples: [{ groups: ['a', 'b'], message: { type: 'chat.message', text: 'hi' } }],
  })
}

const CODE = documented(z.enum(Object.keys(ERRORS) as [ErrorCode, ...ErrorCode[]]), {
  description: 'For programs.',
})

const RESULT = named(
  'Result',
  z.strictObject({
    line: documented(z.int().min(1).optional(), {
      description: 'Where in an ndjson body, from 1; blank lines count.',
    }),
    group: documented(z.string().optional(), { description: 'Absent where the line itself is bad.' }),
    cursor: CURSOR.optional(),
    error: z.strictObject({ code: CODE, message: z.string() }).optional(),
  }),
  { description: 'What became of one send: a `cursor`, or an `error`.' },
)

export const PUBLISHED = named('Published', z.strictObject({ results: z.array(RESULT) }))

const COUNT = z.int().min(0)

export const GROUP = named(
  'Group',
  z.strictObject({
    name: GROUP_NAME,
    connections: documented(z.strictObject({ websocket: COUNT, sse: COUNT, ndjson: COUNT }), {
      description: 'This node’s connections in the group, by transport.',
    }),
  }),
)

export const GROUPS = z.strictObject({ groups: z.array(GROUP) })

const KEPT = named('KeptMessage', z.strictObject({ cursor: POSITION, message: MESSAGE }), {
  description: 'A message as its group keeps it, and the position after it.',
})

export const HISTORY = named(
  'History',
  z.strictObject({
    messages: documented(z.array(KEPT), { description: 'Oldest first.' }),
    cursor: POSITION,
    hasMore: documented(z.boolean(), {
      description: 'Whether `limit` left out later messages (with `after`) or earlier ones (without).',
    }),
  }),
  {
    description:
      'Messages, and the position after them: `after` of the next page, or the cursor to connect with for what comes next.',
  },
)

const DEFAULT_LIMIT = 100
const MAX_LIMIT = 1000

export const HISTORY_QUERY = z.object({
  // Any text: one that is no cursor of this hub’s is answered like one that is too old.
  after: documented(z.string().optional(), {
    description: 'Those after this cursor, the oldest first. Left out: the newest.',
  }),
  limit: documented(
    z
      .string()
      .regex(/^(?:[1-9][0-9]{0,2}|1000)$/, `must be a whole number from 1 to ${MAX_LIMIT}`)
      .transform(Number)
      .prefault(String(DEFAULT_LIMIT)),
    { description: `At most so many: 1 to ${MAX_LIMIT}.` },
  ),
})

export const NOTHING = z.strictObject({})

export const TICKET = z.strictObject({
  ticket: z.string(),
  expiresInSeconds: z.int().min(1),
})
export const REVOKED = z.strictObject({ result: z.literal('revoked') })

export const CLOSED = z.strictObject({ result: z.literal('closed') })
export const FORWARDED = z.strictObject({ result: z.literal('forwarded') })

// A close frame's room for it (RFC 6455, section 5.5).
const MAX_REASON_BYTES = 123

// RFC 6455, section 7.4: the codes that an endpoint may send, less those that a WebSocket library sends by itself.
const CLOSE_CODE = z
  .string()
  .regex(
    /^(?:1000|1001|1008|101[1-3]|[34][0-9]{3})$/,
    'must be 1000, 1001, 1008, 1011 to 1013, or 3000 to 4999',
  )
  .transform(Number)
  .optional()

const CLOSE_REASON = z
  .string()
  .max(MAX_REASON_BYTES, `must be at most ${MAX_REASON_BYTES} bytes of UTF-8`)
  .refine(
    (reason) => Buffer.byteLength(reason) <= MAX_REASON_BYTES,
    `must be at most ${MAX_REASON_BYTES} bytes of UTF-8`,
  )
  .optional()

export const CLOSE_QUERY = z.object({
  code: documented(CLOSE_CODE, {
    description: 'The close code: 4000–4499 tell the client to reconnect, 4500–4999 not to.',
  }),
  reason: documented(CLOSE_REASON, {
    description: `Told to the client; at most ${MAX_REASON_BYTES} bytes of UTF-8.`,
  }),
})

export const HEALTH = z.strictObject({ status: z.literal('ok') })
export const READY = z.strictObject({ status: z.literal('ready') })
export const NOT_READY = z.strictObject({ status: z.literal('not-ready'), reason: z.string() })

export const PROBLEM = named(
  'Problem',
  z.strictObject({
    type: z.literal('about:blank'),
    title: documented(z.string(), { description: 'For people; the same for each code.' }),
    status: z.int().min(400).max(599),
    detail: documented(z.string().optional(), { description: 'What exactly was wrong with the request.' }),
    code: CODE,
    retryAfterMs: documented(z.int().min(0).optional(), {
      description:
        'When to try again, in milliseconds from now, where that is known. As `Retry-After`, more exactly.',
    }),
    cursor: documented(POSITION.optional(), {
      description: 'With `history-lost`: the position to go on from, once the state has been loaded anew.',
    }),
  }),
  { description: 'A problem document (RFC 9457).' },
)

/** The most that is told of a value that does not fit: it may hold whatever a client likes. */
const MAX_TEXT = 300

/**
 * The value as the schema returns it.
 *
 * @throws {Refusal} `bad-request` saying what does not fit
 */
export function checked<Schema extends z.ZodType>(schema: Schema, value: unknown): z.output<Schema> {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const text = result.error.issues
    .slice(0, 3)
    .map(({ path, message }) => (path.length === 0 ? message : `${path.join('.')}: ${message}`))
    .join('; ')
  throw new Refusal('bad-request', text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT - 1)}…` : text)
}
