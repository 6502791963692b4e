/**
 * How the streams are described. They are the hub's, not the API's, and OpenAPI has few words for them: so this much is written by
 * hand, and `docs/protocol.md` says the rest.
 */

type Json = Record<string, unknown>

const PROBLEM: Json = {
  description: 'A problem document (RFC 9457).',
  content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
}

const OPEN_TEXT = `With \`Upgrade: websocket\` a WebSocket: each message is a JSON text, or, with the subprotocol
\`groupcast.v1\`, an envelope. Otherwise \`Accept\` decides: Server-Sent Events, or one envelope a line.`

/** The path item of the place where clients connect. */
export function describeStreams(): Json {
  return { get: describeOpening(), post: describeUplink() }
}

function describeOpening(): Json {
  const text = { type: 'string' }
  return {
    operationId: 'connect',
    tags: ['streams'],
    summary: 'Connect, and get the messages of groups',
    description: OPEN_TEXT,
    parameters: [
      {
        name: 'group',
        in: 'query',
        description: 'A group to be in; may be repeated.',
        schema: { type: 'array', items: { $ref: '#/components/schemas/GroupName' } },
        explode: true,
      },
      {
        name: 'envelope',
        in: 'query',
        description: '`1`: Server-Sent Events carry envelopes rather than bare messages.',
        schema: { type: 'string' },
      },
      {
        name: 'Last-Event-ID',
        in: 'header',
        description:
          'The cursor to resume from: what the groups that keep history got later comes first. An `EventSource` sends it by itself.',
        schema: { type: 'string' },
      },
      {
        name: 'cursor',
        in: 'query',
        description: 'The same, where no header can be set. The header counts where there are both.',
        schema: { type: 'string' },
      },
      {
        name: 'history',
        in: 'query',
        description: 'Without a cursor: so many of the newest messages of each group come first.',
        schema: { type: 'integer', minimum: 0 },
      },
    ],
    responses: {
      '101': { description: 'A WebSocket.' },
      '200': {
        description: 'A stream that goes on until either side ends it.',
        content: {
          'text/event-stream': { schema: text },
          'application/x-ndjson': { schema: text },
        },
      },
      default: PROBLEM,
    },
  }
}

function describeUplink(): Json {
  return {
    operationId: 'sendToConsumer',
    tags: ['streams'],
    summary: 'Send a message from a client of a stream to its consumer',
    parameters: [
      {
        name: 'Groupcast-Connection',
        in: 'header',
        required: true,
        description: 'The id that the `open` envelope carries.',
        schema: { type: 'string' },
      },
    ],
    requestBody: {
      required: true,
      content: { 'application/json': { schema: { $ref: '#/components/schemas/Message' } } },
    },
    responses: {
      '202': { description: 'On its way.', content: { 'application/json': { schema: { type: 'object' } } } },
      default: PROBLEM,
    },
  }
}
