import { json, jsonText, streamed } from '../answers.ts'
import { type BodyBounds, readJson } from '../body.ts'
import { CHANNEL_PARAMETER, GROUP_PARAMETER } from '../parameters.ts'
import { Publisher } from '../publish.ts'
import { type Call, type Context, type Route, route } from '../route.ts'
import { MESSAGE, NOTHING, PUBLISHED, publishSchema, SENT } from '../schemas.ts'

const JSON_TYPE = 'application/json'
const NDJSON_TYPE = 'application/x-ndjson'

/** Routes that send messages: to one group, to many, to a channel. */
export function messageRoutes(context: Context): readonly Route[] {
  return [groupSendRoute(context), publishRoute(context), channelSendRoute(context)]
}

/** A message as it came; the hub checks that it is one. */
async function readMessage({ hub, options }: Context, { request }: Call): Promise<{ readonly type: string }> {
  return (await readJson(request, boundsOf(hub, options))) as { readonly type: string }
}

function boundsOf({ limits }: Context['hub'], { maxBodyBytes }: Context['options']): BodyBounds {
  const { maxJsonDepth, bodyTimeoutMs } = limits
  return { maxBodyBytes, maxJsonDepth, bodyTimeoutMs }
}

function groupSendRoute(context: Context): Route {
  return route({
    method: 'POST',
    path: '/api/groups/{group}/messages',
    id: 'sendToGroup',
    tag: 'messages',
    summary: 'Send a message to a group',
    description:
      'Answers when the channel layer has accepted the message. An error means that nobody has got it; only after 504 (`layer-timeout`) nobody knows.',
    access: 'publish',
    parameter: GROUP_PARAMETER,
    bodies: [{ type: JSON_TYPE, schema: MESSAGE }],
    answers: [{ status: 200, description: 'Accepted.', mediaType: JSON_TYPE, schema: SENT }],
    errors: [
      'invalid-message',
      'hub-closed',
      'restarting',
      'layer-unavailable',
      'layer-timeout',
      'internal-error',
    ],
    async handle(call) {
      const message = await readMessage(context, call)
      const { cursor } = await context.hub.groupSend(call.parameter, message)
      return json(200, { cursor })
    },
  })
}

const PUBLISH_TEXT = `With \`application/json\`, one publish. With \`application/x-ndjson\`, one publish a line, as many as you like: each is
sent as it arrives, and the answer is written while the body is still being read. Read it while you send: whoever does not
read the answer is not read from either. A line that is bad fails alone, with its number; blank lines are skipped.`

function publishRoute(context: Context): Route {
  const { hub, options } = context
  const publisher = new Publisher(context)
  const schema = publishSchema(options.maxGroupsPerPublish)
  const lines = `One publish a line, each at most ${options.maxBodyBytes} bytes.`
  return route({
    method: 'POST',
    path: '/api/publish',
    id: 'publish',
    tag: 'messages',
    summary: 'Send messages to several groups',
    description: PUBLISH_TEXT,
    access: 'publish',
    looksAtGroups: true,
    bodies: [
      { type: JSON_TYPE, schema },
      { type: NDJSON_TYPE, schema, description: lines },
    ],
    answers: [
      {
        status: 200,
        description: 'One result for each group, in order. Each succeeds or fails alone.',
        mediaType: JSON_TYPE,
        schema: PUBLISHED,
      },
    ],
    async handle({ request, bodyType, grant }) {
      if (bodyType === NDJSON_TYPE)
        return streamed(200, JSON_TYPE, publisher.publishLines(request.body, grant))
      const value = await readJson(request, boundsOf(hub, options))
      return jsonText(200, await publisher.publish(value, grant))
    },
  })
}

function channelSendRoute(context: Context): Route {
  return route({
    method: 'POST',
    path: '/api/channels/{channel}/messages',
    id: 'sendToChannel',
    tag: 'messages',
    summary: 'Send a message to a channel',
    description:
      'To a named channel, whose messages go to one reader each, or to the channel of a connection.',
    access: 'publish',
    parameter: CHANNEL_PARAMETER,
    bodies: [{ type: JSON_TYPE, schema: MESSAGE }],
    answers: [{ status: 202, description: 'In the queue.', mediaType: JSON_TYPE, schema: NOTHING }],
    errors: [
      'invalid-message',
      'channel-full',
      'hub-closed',
      'restarting',
      'layer-unavailable',
      'layer-timeout',
      'internal-error',
    ],
    async handle(call) {
      await context.hub.send(call.parameter, await readMessage(context, call))
      return jsonText(202, '{}')
    },
  })
}
