import { Refusal } from '../../errors.ts'
import { json } from '../answers.ts'
import { CONNECTION_PARAMETER, GROUP_PARAMETER } from '../parameters.ts'
import { type Context, type Route, route } from '../route.ts'
import { CLOSE_QUERY, CLOSED, FORWARDED, GROUP, GROUPS } from '../schemas.ts'

const JSON_TYPE = 'application/json'

/** Routes that look at groups, and close connections. */
export function groupRoutes(context: Context): readonly Route[] {
  return [listRoute(context), groupRoute(context), historyRoute(), closeRoute(context)]
}

function listRoute({ hub }: Context): Route {
  return route({
    method: 'GET',
    path: '/api/groups',
    id: 'listGroups',
    tag: 'groups',
    summary: 'The groups that have members on this node',
    access: 'key',
    answers: [{ status: 200, description: 'Sorted by name.', mediaType: JSON_TYPE, schema: GROUPS }],
    errors: ['internal-error'],
    handle: () => json(200, { groups: hub.groups() }),
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
    access: 'key',
    parameter: GROUP_PARAMETER,
    answers: [{ status: 200, description: 'Its connections.', mediaType: JSON_TYPE, schema: GROUP }],
    errors: ['internal-error'],
    handle: ({ parameter }) => json(200, hub.group(parameter)),
  })
}

function historyRoute(): Route {
  return route({
    method: 'GET',
    path: '/api/groups/{group}/messages',
    id: 'getHistory',
    tag: 'groups',
    summary: 'The messages that a group has kept',
    description: 'Not available in this version.',
    access: 'key',
    parameter: GROUP_PARAMETER,
    answers: [],
    errors: ['history-not-available'],
    handle() {
      throw new Refusal('history-not-available')
    },
  })
}

function closeRoute({ hub }: Context): Route {
  return route({
    method: 'DELETE',
    path: '/api/connections/{id}',
    id: 'closeConnection',
    tag: 'connections',
    summary: 'Close a connection, on any node',
    access: 'key',
    parameter: CONNECTION_PARAMETER,
    query: CLOSE_QUERY,
    answers: [
      { status: 200, description: 'It was on this node.', mediaType: JSON_TYPE, schema: CLOSED },
      { status: 202, description: 'Its node was told.', mediaType: JSON_TYPE, schema: FORWARDED },
    ],
    errors: ['unknown-connection', 'internal-error'],
    async handle({ parameter }, { code, reason }) {
      const result = await hub.closeConnection(parameter, code, reason)
      return json(result === 'closed' ? 200 : 202, { result })
    },
  })
}
