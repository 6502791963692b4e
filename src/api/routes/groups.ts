import { errorCodeOf } from '../../errors.ts'
import { failureOf, json, problem } from '../answers.ts'
import type { ApiHub, ApiResponse } from '../contract.ts'
import { CONNECTION_PARAMETER, GROUP_PARAMETER } from '../parameters.ts'
import { type Context, type Route, route } from '../route.ts'
import { CLOSE_QUERY, CLOSED, FORWARDED, GROUP, GROUPS, HISTORY, HISTORY_QUERY } from '../schemas.ts'

const JSON_TYPE = 'application/json'

/** Routes that look at groups, and close connections. */
export function groupRoutes(context: Context): readonly Route[] {
  return [listRoute(context), groupRoute(context), historyRoute(context), closeRoute(context)]
}

function listRoute({ hub }: Context): Route {
  return route({
    method: 'GET',
    path: '/api/groups',
    id: 'listGroups',
    tag: 'groups',
    summary: 'The groups that have members on this node',
    access: 'read',
    looksAtGroups: true,
    answers: [{ status: 200, description: 'Sorted by name.', mediaType: JSON_TYPE, schema: GROUPS }],
    errors: ['internal-error'],
    handle: ({ grant }) => json(200, { groups: hub.groups().filter(({ name }) => grant.allows(name)) }),
  })
}

function groupRoute({ hub }: Context): Route {
  return route({
    method: 'GET',
    path: '/api/groups/{group}',
    id: 'getGroup',
    tag: 'groups',
    summary: 'One group as seen on this node',
    description: 'A group exists while it has members; one without any is answered with zeros.',
    access: 'read',
    parameter: GROUP_PARAMETER,
    answers: [{ status: 200, description: 'Its connections.', mediaType: JSON_TYPE, schema: GROUP }],
    errors: ['internal-error'],
    handle: ({ parameter }) => json(200, hub.group(parameter)),
  })
}

const HISTORY_TEXT = `Without \`after\` the newest messages; with it those that came later, the oldest first: to read on, repeat the request
with the \`cursor\` of the answer while \`hasMore\` is true. All or nothing: where something after the cursor is gone, or the cursor is
none of this hub’s, the answer is 410 \`history-lost\` with a \`cursor\` of now. Load the state that the messages are about anew
after that, and go on from there.`

function historyRoute({ hub }: Context): Route {
  return route({
    method: 'GET',
    path: '/api/groups/{group}/messages',
    id: 'getHistory',
    tag: 'groups',
    summary: 'The messages that a group has kept',
    description: HISTORY_TEXT,
    access: 'read',
    parameter: GROUP_PARAMETER,
    query: HISTORY_QUERY,
    answers: [{ status: 200, description: 'A page of them.', mediaType: JSON_TYPE, schema: HISTORY }],
    errors: [
      'history-not-available',
      'history-lost',
      'hub-closed',
      'restarting',
      'layer-unavailable',
      'layer-timeout',
      'internal-error',
    ],
    async handle({ parameter }, { after, limit }) {
      try {
        // A client that has no cursor yet may send an empty one, as it may when it connects.
        const query = after === undefined || after === '' ? { limit } : { after, limit }
        return json(200, await hub.history(parameter, query))
      } catch (error) {
        if (errorCodeOf(error) !== 'history-lost') throw error
        return lost(hub, parameter, error)
      }
    },
  })
}

/** Where to go on from, since what the client asked about cannot be told. */
async function lost(hub: ApiHub, group: string, error: unknown): Promise<ApiResponse> {
  const { cursor } = await hub.history(group, { limit: 1 })
  return problem(failureOf(error), {}, { cursor })
}

function closeRoute({ hub }: Context): Route {
  return route({
    method: 'DELETE',
    path: '/api/connections/{id}',
    id: 'closeConnection',
    tag: 'connections',
    summary: 'Close a connection, on any node',
    access: 'admin',
    parameter: CONNECTION_PARAMETER,
    query: CLOSE_QUERY,
    answers: [
      { status: 200, description: 'It was on this node.', mediaType: JSON_TYPE, schema: CLOSED },
      { status: 202, description: 'Its node was told.', mediaType: JSON_TYPE, schema: FORWARDED },
    ],
    errors: ['unknown-connection', 'layer-unavailable', 'layer-timeout', 'internal-error'],
    async handle({ parameter }, { code, reason }) {
      const result = await hub.closeConnection(parameter, code, reason)
      return json(result === 'closed' ? 200 : 202, { result })
    },
  })
}
