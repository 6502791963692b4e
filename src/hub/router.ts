import { type MatchFunction, match } from 'path-to-regexp'
import { MisuseError } from '../errors.ts'
import { lifetimeOf } from '../identity.ts'
import { quote } from '../names.ts'
import { assertSlowPolicy } from '../slow.ts'
import type { Connection, Consumer } from './consumer.ts'

/** A consumer as the hub calls it, whatever its parameter types. */
export type AnyConsumer = Consumer<Record<string, Record<string, unknown>>>

type Handler = (connection: Connection, message: { readonly type: string }) => unknown

/** A consumer and the URL pattern that it serves. */
export interface Route {
  readonly path: string
  readonly consumer: AnyConsumer
  /** Its handlers by message type; a Map, because types come from messages. */
  readonly handlers: ReadonlyMap<string, Handler>
}

/** A route that matches a path, with its parameters decoded. */
export interface RouteMatch {
  readonly route: Route
  readonly params: Readonly<Record<string, string>>
}

/** As matched: a wildcard (`/files/*path`) gives its segments. */
type Params = Record<string, string | string[]>

/** Finds the consumer of a URL. The first registered that matches wins. */
export class Router {
  readonly #routes: { route: Route; match: PathMatch }[] = []

  /** @throws {MisuseError} `invalid-option` for a pattern that cannot be parsed or is taken */
  add(path: string, consumer: AnyConsumer): void {
    if (typeof path !== 'string' || !path.startsWith('/')) {
      throw new MisuseError('invalid-option', `A consumer's path starts with "/"; this is ${quote(path)}.`)
    }
    if (this.#routes.some(({ route }) => route.path === path)) {
      throw new MisuseError(
        'invalid-option',
        `There is a consumer at ${quote(path)} already: give each path one consumer.`,
      )
    }
    assertConsumer(path, consumer)
    const handlers = new Map<string, Handler>()
    for (const [type, handler] of Object.entries(consumer.handlers ?? {})) {
      if (typeof handler !== 'function') {
        throw new MisuseError(
          'invalid-option',
          `The handler of ${quote(type)} at ${quote(path)} is not a function.`,
        )
      }
      handlers.set(type, handler.bind(consumer.handlers) as Handler)
    }
    assertSlowPolicy(`The consumer at ${quote(path)}`, consumer.slow)
    this.#routes.push({ route: { path, consumer, handlers }, match: compile(path) })
  }

  /** `null`: nobody serves this path, or it cannot be decoded. */
  match(path: string): RouteMatch | null {
    for (const { route, match } of this.#routes) {
      const params = match(path)
      if (params !== null) return { route, params }
    }
    return null
  }
}

const HOOKS = ['connect', 'receive', 'authorize', 'disconnect'] as const

/** Other properties are the consumer's own: it may be an object with a state. */
function assertConsumer(path: string, consumer: AnyConsumer): void {
  if (typeof consumer !== 'object' || consumer === null) {
    throw new MisuseError('invalid-option', `The consumer at ${quote(path)} must be an object with hooks.`)
  }
  const { authenticate } = consumer
  if (authenticate !== undefined && authenticate !== false && typeof authenticate !== 'function') {
    const text = `authenticate of the consumer at ${quote(path)} must be a function, or false.`
    throw new MisuseError('invalid-option', text)
  }
  if (typeof authenticate === 'function') lifetimeOf(authenticate)
  for (const hook of HOOKS) {
    if (consumer[hook] === undefined || typeof consumer[hook] === 'function') continue
    throw new MisuseError('invalid-option', `${hook} of the consumer at ${quote(path)} must be a function.`)
  }
}

/** What a path says, or `null` where a pattern does not match it. */
type PathMatch = (path: string) => Readonly<Record<string, string>> | null

function compile(path: string): PathMatch {
  try {
    // `trailing`, on by default, makes `/events` serve `/events/` too. Paths are case-sensitive (RFC 3986, section 6.2.2.1).
    const found = match<Params>(path, { sensitive: true })
    return isLiteral(path) ? matchLiteral(path) : (given) => matchPattern(found, given)
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new MisuseError(
      'invalid-option',
      `${quote(path)} is not a URL pattern: ${why}. Write it like "/chat/:room".`,
    )
  }
}

/** Whether a pattern says nothing but itself. */
function isLiteral(path: string): boolean {
  return /^(?:\/[\w.~-]+)+$/.test(path)
}

/** Most connections come to a path without parameters: two comparisons (bench: connect-storm), and one object for all (bench: idle-memory). */
function matchLiteral(path: string): PathMatch {
  const withSlash = `${path}/`
  return (given) => (given === path || given === withSlash ? NO_PARAMS : null)
}

function matchPattern(match: MatchFunction<Params>, path: string): Readonly<Record<string, string>> | null {
  try {
    const found = match(path)
    return found === false ? null : joined(found.params)
  } catch (error) {
    // `%` without two hex digits: no consumer could get that parameter.
    if (error instanceof URIError) return null
    throw error
  }
}

const NO_PARAMS: Readonly<Record<string, string>> = Object.freeze({})

function joined(params: Params): Readonly<Record<string, string>> {
  const entries = Object.entries(params).map(([name, value]) => [
    name,
    Array.isArray(value) ? value.join('/') : value,
  ])
  return Object.freeze(Object.fromEntries(entries) as Record<string, string>)
}
