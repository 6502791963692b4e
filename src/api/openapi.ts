/** The OpenAPI 3.1 description of the API, made from the table of routes. */
import { z } from 'zod'
import { ERRORS, type ErrorCode } from '../errors.ts'
import type { ResolvedOptions } from './options.ts'
import { type Answer, errorsOf, type Route } from './route.ts'
import { DOCS, NAMED, PROBLEM } from './schemas.ts'
import { describeStreams } from './streams.ts'

type Json = Record<string, unknown>

const ABOUT = `Sends messages to the groups of a groupcast hub and looks after it. Names in paths are percent-encoded.
Errors are problem documents (RFC 9457); programs look at \`code\`.`

/** The description of these routes, as an OpenAPI document. */
export function describeApi(routes: readonly Route[], options: ResolvedOptions): Json {
  const { version, eventsPath, apiKeys } = options
  const paths: Record<string, Json> = {}
  for (const route of routes) {
    paths[route.path] = { ...paths[route.path], [route.method.toLowerCase()]: describeRoute(route, options) }
  }
  if (eventsPath !== null) paths[eventsPath] = describeStreams()
  return {
    openapi: '3.1.1',
    info: { title: 'groupcast', version, description: ABOUT },
    paths,
    components: {
      schemas: namedSchemas(),
      ...(apiKeys.length > 0 && { securitySchemes: { key: { type: 'http', scheme: 'bearer' } } }),
    },
  }
}

function describeRoute(route: Route, { apiKeys }: ResolvedOptions): Json {
  const needsKey = route.access !== 'open' && route.access !== 'client' && apiKeys.length > 0
  const parameters = describeParameters(route)
  return {
    operationId: route.id,
    tags: [route.tag],
    summary: route.summary,
    ...(route.description !== undefined && { description: route.description }),
    ...(needsKey && { security: [{ key: [] }] }),
    ...(parameters.length > 0 && { parameters }),
    ...(route.bodies !== undefined && { requestBody: describeBodies(route.bodies) }),
    responses: {
      ...describeAnswers(route.answers),
      ...describeErrors(route, needsKey || route.access === 'client'),
    },
  }
}

function describeParameters({ parameter, query }: Route): Json[] {
  const found: Json[] = []
  if (parameter !== undefined) {
    found.push({ name: parameter.name, in: 'path', required: true, schema: schemaOf(parameter.schema) })
  }
  for (const [name, schema] of Object.entries(query?.shape ?? {})) {
    // Its description belongs to the parameter, where readers look for it.
    const { description, ...rest } = schemaOf(schema)
    found.push({
      name,
      in: 'query',
      required: !schema.safeParse(undefined).success,
      description,
      schema: rest,
    })
  }
  return found
}

function describeBodies(bodies: NonNullable<Route['bodies']>): Json {
  const content: Json = {}
  for (const { type, schema, description } of bodies) {
    content[type] = {
      schema: type === 'application/x-ndjson' ? linesOf(schema, description) : schemaOf(schema),
    }
  }
  return { required: true, content }
}

/** OpenAPI 3.1 has no word for a sequence of documents: a text whose lines are described beside it. */
function linesOf(schema: z.ZodType, description = 'One document a line.'): Json {
  return { type: 'string', description, 'x-line': schemaOf(schema) }
}

function describeAnswers(answers: readonly Answer[]): Json {
  const responses: Json = {}
  for (const { status, description, mediaType, schema } of answers) {
    responses[status] = { description, content: { [mediaType]: { schema: schemaOf(schema) } } }
  }
  return responses
}

function describeErrors(route: Route, mayBeUnauthorized: boolean): Json {
  const byStatus = new Map<number, ErrorCode[]>()
  for (const code of errorsOf(route)) {
    if (code === 'unauthorized' && !mayBeUnauthorized) continue
    const { httpStatus } = ERRORS[code]
    byStatus.set(httpStatus, [...(byStatus.get(httpStatus) ?? []), code])
  }
  const responses: Json = {}
  for (const [status, codes] of byStatus) responses[status] = describeError(codes)
  return responses
}

function describeError(codes: readonly ErrorCode[]): Json {
  const description = codes.map((code) => `\`${code}\`: ${ERRORS[code].message}`).join(' ')
  const schema = { allOf: [schemaOf(PROBLEM), { properties: { code: { enum: codes } } }] }
  return { description, content: { 'application/problem+json': { schema } } }
}

function namedSchemas(): Json {
  return Object.fromEntries([...NAMED].map(([id, schema]) => [id, converted(schema, id)]))
}

/** A schema as it stands in the description: by name where it has one. */
function schemaOf(schema: z.ZodType): Json {
  const id = DOCS.get(schema)?.id
  return id === undefined ? converted(schema) : { $ref: REF + id }
}

const REF = '#/components/schemas/'

function converted(schema: z.ZodType, name?: string): Json {
  const { $schema, $defs, ...inPlace } = z.toJSONSchema(schema, { io: 'input', metadata: DOCS })
  // zod puts every named schema that it meets, the outermost too, beside the result; here they all stand in one place.
  const found = name === undefined ? inPlace : $defs?.[name]
  return JSON.parse(JSON.stringify(found).replaceAll('"$ref":"#/$defs/', `"$ref":"${REF}`)) as Json
}
