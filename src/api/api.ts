/**
 * The HTTP API on a hub: publishing, groups, channels, connections, health and metrics. It knows no server: a binding such as
 * `node.ts` hands it requests and writes its answers.
 */
import { Refusal } from '../errors.ts'
import { quote } from '../names.ts'
import {
  accessHeaders,
  isAllowedHost,
  isHost,
  NO_HOST,
  type OriginVerdict,
  originVerdict,
  preflightHeaders,
} from '../origin.ts'
import { failureOf, problem } from './answers.ts'
import { bodyType } from './body.ts'
import type { Api, ApiHub, ApiOptions, ApiRequest, ApiResponse } from './contract.ts'
import { KeyFailures } from './failures.ts'
import { ALL_GRANTED, ApiKeys, InsufficientScope, type KeyGrant, UnknownKey } from './keys.ts'
import { resolveOptions } from './options.ts'
import type { Context, Parameter, Route } from './route.ts'
import { type Endpoint, type Found, Router } from './router.ts'
import { createRoutes } from './routes.ts'

/** Headers that a page may send. */
const REQUEST_HEADERS = 'Authorization, Content-Type'

/**
 * Makes the HTTP API of a hub.
 *
 * @throws {MisuseError} (code `invalid-option`) for options that are not valid
 */
export function createApi(hub: ApiHub, options: ApiOptions): Api {
  return new HubApi(hub, options)
}

class HubApi implements Api {
  readonly #context: Context
  readonly #router: Router
  readonly #keys: ApiKeys
  readonly #failures: KeyFailures

  constructor(hub: ApiHub, given: ApiOptions) {
    const options = resolveOptions(given)
    this.#context = { hub, options, report: (error, where) => report(options.onError, error, where) }
    this.#router = new Router(createRoutes(this.#context))
    this.#keys = new ApiKeys(options.apiKeys)
    this.#failures = new KeyFailures(hub.rates)
  }

  handle(request: ApiRequest): Promise<ApiResponse> | null {
    const { path } = request
    const found = this.#router.find(path)
    if (found === null && !path.startsWith('/api/') && path !== '/api') return null
    return this.#answer(request, found)
  }

  async #answer(request: ApiRequest, found: Found | null): Promise<ApiResponse> {
    const verdict = this.#verdict(request)
    let answer: ApiResponse
    try {
      answer = await this.#dispatch(request, found, verdict)
    } catch (error) {
      answer = this.#failed(error, request, found)
    }
    return this.#finished(request, verdict, answer)
  }

  #verdict(request: ApiRequest): OriginVerdict {
    const origin = request.header('origin')
    // Programs send none, and they are most of the traffic.
    if (origin === undefined) return 'absent'
    const facts = { origin, host: request.header('host'), encrypted: request.encrypted }
    return originVerdict(facts, this.#context.options.allowedOrigins)
  }

  /** Not async, so that a request that needs nothing more than its handler waits for nothing more. */
  #dispatch(
    request: ApiRequest,
    found: Found | null,
    verdict: OriginVerdict,
  ): ApiResponse | Promise<ApiResponse> {
    this.#checkHost(request)
    if (verdict === 'refused') throw new Refusal('origin-not-allowed')
    if (found === null) throw new Refusal('not-found')
    const { endpoint, parameter } = found
    if (request.method === 'OPTIONS') return optionsOf(endpoint)
    const route = endpoint.routes.get(request.method === 'HEAD' ? 'GET' : request.method)
    if (route === undefined) return methodNotAllowed(endpoint)
    const grant = this.#grantFor(route, request)
    const value = route.parameter === undefined ? '' : decoded(route.parameter, parameter)
    // In the same words whether it exists.
    if (route.parameter?.isLimited === true && !grant.allows(value)) throw new Refusal('forbidden')
    return route.handle({
      request,
      grant,
      parameter: value,
      bodyType: route.bodyTypes === null ? null : bodyType(request, route.bodyTypes),
    })
  }

  #checkHost(request: ApiRequest): void {
    const { allowedHosts } = this.#context.options
    const host = request.header('host')
    if (!isHost(host)) throw new Refusal('bad-request', NO_HOST)
    if (allowedHosts === null) return
    if (isAllowedHost(host, allowedHosts)) return
    throw new Refusal('forbidden', `This server does not go by the name ${quote(host ?? '')}.`)
  }

  #grantFor({ access, parameter, looksAtGroups }: Route, request: ApiRequest): KeyGrant {
    if (access === 'open' || access === 'client' || !this.#keys.isRequired) return ALL_GRANTED
    const grant = this.#grantOf(request)
    const isForGroups = looksAtGroups === true || parameter?.isLimited === true
    if (!grant.has(access) || !(isForGroups || grant.isUnlimited)) throw new InsufficientScope(access)
    return grant
  }

  /** What the key of a request is good for. @throws {Refusal} `unauthorized`, `rate-exceeded` */
  #grantOf(request: ApiRequest): KeyGrant {
    const authorization = request.header('authorization')
    if (authorization !== undefined) this.#failures.check(request.remoteAddress)
    try {
      return this.#keys.grantOf(authorization)
    } catch (error) {
      if (error instanceof UnknownKey) this.#failures.failed(request.remoteAddress)
      throw error
    }
  }

  #failed(error: unknown, request: ApiRequest, found: Found | null): ApiResponse {
    const failure = failureOf(error)
    if (failure.isInternal) {
      this.#context.report(error, `${request.method} ${found?.endpoint.path ?? request.path}`)
    }
    return problem(failure, keyChallenge(error))
  }

  #finished(request: ApiRequest, verdict: OriginVerdict, answer: ApiResponse): ApiResponse {
    const { allowedOrigins } = this.#context.options
    const isHead = request.method === 'HEAD'
    if (allowedOrigins.length === 0 && !isHead) return answer
    const access = accessHeaders(request.header('origin'), verdict, allowedOrigins)
    return { ...answer, headers: { ...answer.headers, ...access }, body: isHead ? '' : answer.body }
  }
}

/**
 * The parameter of a path as it was meant.
 *
 * @throws {Refusal} `bad-request` for what cannot be decoded, the parameter's own code for what its schema refuses
 */
function decoded(parameter: Parameter, text: string): string {
  let value = text
  if (text.includes('%')) {
    try {
      value = decodeURIComponent(text)
    } catch {
      throw new Refusal('bad-request', `${quote(text)} in the path is not percent-encoded UTF-8.`)
    }
  }
  if (!parameter.schema.safeParse(value).success) throw new Refusal(parameter.code, parameter.badText(value))
  return value
}

/** What is wrong with the key (RFC 6750, section 3.1), besides what each 401 says. */
function keyChallenge(error: unknown): Readonly<Record<string, string>> {
  if (error instanceof UnknownKey) return { 'WWW-Authenticate': 'Bearer error="invalid_token"' }
  if (error instanceof InsufficientScope) {
    return { 'WWW-Authenticate': `Bearer error="insufficient_scope", scope="${error.scope}"` }
  }
  return {}
}

function optionsOf({ methods }: Endpoint): ApiResponse {
  const headers = { Allow: methods, ...preflightHeaders({ methods, headers: REQUEST_HEADERS }) }
  return { status: 204, headers, body: '' }
}

function methodNotAllowed({ methods }: Endpoint): ApiResponse {
  const detail = `The methods here are ${methods}.`
  return problem({ code: 'method-not-allowed', detail, isInternal: false }, { Allow: methods })
}

/** The application's hook must not become a second failure. */
function report(onError: ApiOptions['onError'], error: unknown, where: string): void {
  const call = async () => onError(error, { where })
  call().catch(() => {})
}
