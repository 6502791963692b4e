import { json } from '../answers.ts'
import { IDENTITY_PARAMETER } from '../parameters.ts'
import { type Context, type Route, route } from '../route.ts'
import { REVOKED, TICKET } from '../schemas.ts'

const JSON_TYPE = 'application/json'

/** Routes about who clients are: tickets for themselves, and an end of what they have. */
export function identityRoutes(context: Context): readonly Route[] {
  return [ticketRoute(context), revokeRoute(context)]
}

const TICKET_TEXT = `For a client that can send no header with its connection, such as \`EventSource\`: it asks here with its token
(\`Authorization: Bearer\`, or a cookie), and connects with \`ticket=\` in the query. A ticket is good for one connection, on any node.`

function ticketRoute({ hub }: Context): Route {
  return route({
    method: 'POST',
    path: '/api/tickets',
    id: 'createTicket',
    tag: 'identities',
    summary: 'Get a one-time ticket',
    description: TICKET_TEXT,
    access: 'client',
    answers: [{ status: 201, description: 'The ticket.', mediaType: JSON_TYPE, schema: TICKET }],
    errors: [
      'bad-request',
      'not-supported',
      'invalid-token',
      'revoked',
      'rate-exceeded',
      'authentication-timeout',
      'authentication-unavailable',
      'hub-closed',
      'layer-unavailable',
      'layer-timeout',
      'internal-error',
    ],
    async handle({ request }) {
      const { ticket, expiresInMs } = await hub.createTicket(request)
      return json(201, { ticket, expiresInSeconds: Math.floor(expiresInMs / 1000) })
    },
  })
}

const REVOKE_TEXT = `Closes all connections of the identity, on every node, and refuses the tokens that it got up to now until they expire.
The answer is the same whether there are any.`

function revokeRoute({ hub }: Context): Route {
  return route({
    method: 'DELETE',
    path: '/api/identities/{id}/connections',
    id: 'revokeIdentity',
    tag: 'identities',
    summary: 'Withdraw what an identity has',
    description: REVOKE_TEXT,
    access: 'admin',
    parameter: IDENTITY_PARAMETER,
    answers: [{ status: 200, description: 'All nodes were told.', mediaType: JSON_TYPE, schema: REVOKED }],
    errors: ['hub-closed', 'layer-unavailable', 'layer-timeout', 'internal-error'],
    async handle({ parameter }) {
      await hub.revoke(parameter)
      return json(200, { result: 'revoked' })
    },
  })
}
