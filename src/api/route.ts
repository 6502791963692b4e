/** What a route is: how it is found, what it takes, what it answers. The router and the description both come from it. */
import type { z } from 'zod'
import type { ErrorCode } from '../errors.ts'
import type { BodyType } from './body.ts'
import type { ApiHub, ApiRequest, ApiResponse } from './contract.ts'
import type { KeyGrant, KeyScope } from './keys.ts'
import type { ResolvedOptions } from './options.ts'
import { checked } from './schemas.ts'

/** What the routes of one API share. */
export interface Context {
  readonly hub: ApiHub
  readonly options: ResolvedOptions
  /** A failure that the client is only told as `internal-error`. */
  report(error: unknown, where: string): void
}

/** One request for a route. */
export interface Call {
  readonly request: ApiRequest
  /** The decoded parameter of the path; empty where it has none. */
  readonly parameter: string
  /** What the key of the request is good for. */
  readonly grant: KeyGrant
  /** The type of the body; `null` for routes without one. */
  readonly bodyType: BodyType | null
}

/** The `{name}` in a path. */
export interface Parameter {
  readonly name: string
  /** Whether keys that are limited to groups are good for some of its values. */
  readonly isLimited: boolean
  readonly schema: z.ZodType<string>
  /** What a value that the schema refuses fails with. */
  readonly code: 'invalid-name' | 'bad-request'
  badText(value: string): string
}

/** A body that a route takes. */
interface Body {
  readonly type: BodyType
  readonly schema: z.ZodType
  readonly description?: string
}

/** One way in which a route succeeds (or says no by design). */
export interface Answer {
  readonly status: number
  readonly description: string
  readonly mediaType: string
  readonly schema: z.ZodType
}

interface RouteDocs {
  readonly method: 'GET' | 'POST' | 'DELETE'
  /** Segments, at most one of them `{parameter}`. */
  readonly path: string
  /** Unique; the name of the call in generated clients. */
  readonly id: string
  readonly tag: string
  readonly summary: string
  readonly description?: string
  /** The scope of the key that is needed, where there are keys. `client`: clients say themselves who they are. */
  readonly access: KeyScope | 'client' | 'open'
  /** Whether keys that are limited to groups may be used; the handler looks at the groups. A group in the path need not say so. */
  readonly looksAtGroups?: boolean
  readonly parameter?: Parameter
  readonly bodies?: readonly Body[]
  readonly answers: readonly Answer[]
  /** The codes it fails with besides those that all routes of its kind share: see {@link errorsOf}. */
  readonly errors?: readonly ErrorCode[]
}

/** A route as it is written down: `handle` gets the query as its schema returns it. */
export interface RouteSpec<Query extends z.ZodObject> extends RouteDocs {
  readonly query?: Query
  handle(call: Call, query: z.output<Query>): ApiResponse | Promise<ApiResponse>
}

/** A route as the API calls it. */
export interface Route extends RouteDocs {
  readonly query: z.ZodObject | null
  /** `null`: it takes no body. */
  readonly bodyTypes: readonly BodyType[] | null
  handle(call: Call): ApiResponse | Promise<ApiResponse>
}

/** Makes a route that checks the query before it is handled. */
export function route<Query extends z.ZodObject>(spec: RouteSpec<Query>): Route {
  const { query, handle } = spec
  return {
    ...spec,
    query: query ?? null,
    bodyTypes: spec.bodies?.map(({ type }) => type) ?? null,
    handle:
      query === undefined
        ? // A handler without a schema is given no query, and takes none.
          (handle as Route['handle'])
        : (call) => handle(call, checked(query, Object.fromEntries(call.request.query))),
  }
}

/** All codes that a route fails with. */
export function errorsOf({ access, parameter, bodies, query, errors = [] }: Route): ReadonlySet<ErrorCode> {
  const codes = new Set<ErrorCode>(['forbidden', 'origin-not-allowed', ...errors])
  if (access !== 'open') codes.add('unauthorized').add('rate-exceeded')
  if (parameter !== undefined) codes.add('bad-request').add(parameter.code)
  if (query !== null) codes.add('bad-request')
  if (bodies !== undefined) {
    codes.add('bad-request').add('unsupported-media-type').add('message-too-large')
    codes.add('invalid-json').add('json-too-deep').add('body-timeout')
  }
  return codes
}
