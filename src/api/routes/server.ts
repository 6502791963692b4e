import { z } from 'zod'
import type { HubStatus } from '../../hub/hub-api.ts'
import { json, jsonText, textAnswer } from '../answers.ts'
import { Metrics } from '../metrics.ts'
import { type Context, type Route, route } from '../route.ts'
import { HEALTH, NOT_READY, READY } from '../schemas.ts'

const JSON_TYPE = 'application/json'

/**
 * Routes about the server itself.
 *
 * @param description the OpenAPI description as JSON text; called when it is asked for
 */
export function serverRoutes(context: Context, description: () => string): readonly Route[] {
  return [healthRoute(), readyRoute(context), metricsRoute(context), descriptionRoute(description)]
}

function healthRoute(): Route {
  return route({
    method: 'GET',
    path: '/health',
    id: 'health',
    tag: 'server',
    summary: 'Whether the process answers',
    access: 'open',
    answers: [{ status: 200, description: 'It does.', mediaType: JSON_TYPE, schema: HEALTH }],
    handle: () => jsonText(200, '{"status":"ok"}'),
  })
}

function readyRoute({ hub }: Context): Route {
  return route({
    method: 'GET',
    path: '/ready',
    id: 'ready',
    tag: 'server',
    summary: 'Whether clients should be sent here',
    access: 'open',
    answers: [
      { status: 200, description: 'Yes.', mediaType: JSON_TYPE, schema: READY },
      { status: 503, description: 'Not now, and why.', mediaType: JSON_TYPE, schema: NOT_READY },
    ],
    handle() {
      const { status } = hub
      if (status.ready) return jsonText(200, '{"status":"ready"}')
      return json(503, { status: 'not-ready', reason: reasonOf(status) })
    },
  })
}

function reasonOf({ draining, layer }: HubStatus): string {
  if (draining) return 'The hub is draining: it stops.'
  return layer.reason ?? `The channel layer is ${layer.state}.`
}

function metricsRoute({ hub, options }: Context): Route {
  const metrics = new Metrics(hub, options.version, options.registry)
  return route({
    method: 'GET',
    path: '/metrics',
    id: 'metrics',
    tag: 'server',
    summary: 'Metrics for Prometheus',
    access: 'read',
    answers: [{ status: 200, description: 'The text format.', mediaType: 'text/plain', schema: z.string() }],
    errors: ['internal-error'],
    async handle() {
      return textAnswer(200, metrics.contentType, await metrics.text())
    },
  })
}

function descriptionRoute(description: () => string): Route {
  return route({
    method: 'GET',
    path: '/api/openapi.json',
    id: 'openapi',
    tag: 'server',
    summary: 'This description',
    access: 'open',
    answers: [
      {
        status: 200,
        description: 'OpenAPI 3.1.',
        mediaType: JSON_TYPE,
        schema: z.looseObject({ openapi: z.string() }),
      },
    ],
    handle: () => jsonText(200, description()),
  })
}
