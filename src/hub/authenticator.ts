import type { Clock } from '../clock.ts'
import { cookieOf } from '../cookies.ts'
import { GroupcastError, Refusal } from '../errors.ts'
import { type Authenticate, type AuthenticationRequest, asIdentity, type Identity } from '../identity.ts'
import type { Limits } from '../options.ts'
import { mayUseCookies } from '../origin.ts'
import type { ConnectionRequest } from '../transports/backend.ts'
import { isFailedAuthentication } from './denial.ts'
import type { Meters } from './meters.ts'

/** So many times as many may wait as run. */
const WAITING = 16

/** What the authenticator needs of its hub. */
export interface AuthenticatorHost {
  readonly limits: Limits
  readonly clock: Clock
  readonly allowedOrigins: readonly string[]
  readonly meters: Pick<Meters, 'authenticating' | 'authenticated' | 'failed'>
  report(error: unknown, where: string): void
}

/** What is asked of a hook; `Answer` is what comes of it. */
export interface Question<Answer> {
  /** Who asks: a connection, or whatever stands for one. One question of each at a time. */
  readonly asker: object
  readonly hook: Authenticate
  /** For texts. */
  readonly where: string
  readonly request: ConnectionRequest
  /** The new token of a connection that is open; `undefined`: the one in the request counts. */
  readonly token?: string
  /** The identity that the connection has. */
  readonly identity: Identity | null
  /** It asks no hook, and so takes no place of those that do: that of a ticket, which another node may hold. */
  readonly takesNoPlace?: boolean
  /** What is made of what the hook says, as long as somebody waits for it. May refuse like the hook. */
  readonly accept: (identity: Identity | null) => Answer
}

/**
 * Asks the hooks `authenticate`: so many at once, and none longer than its client waits. A hook keeps its place until it has ended, also when its
 * client has left, since it may go on: else clients that come and leave would have any number of hooks run. One that does not end within its
 * deadline is not counted any more.
 */
export class Authenticator {
  readonly #host: AuthenticatorHost
  /** What ends the wait of each who asks. */
  readonly #attempts = new Map<object, (error: Refusal) => void>()
  /** Those that wait for others to end, in order. */
  readonly #waiting = new Set<() => void>()
  #running = 0

  constructor(host: AuthenticatorHost) {
    this.#host = host
  }

  /** Questions that have not been answered, and places that are taken: 0 when nothing is going on, for leak tests. */
  get size(): number {
    return this.#attempts.size + this.#running
  }

  /**
   * What comes of asking who a client is.
   *
   * @throws {Refusal} what the hook refused with, `rate-exceeded`, `authentication-timeout`, `authentication-unavailable`; or what the hook threw
   */
  ask<Answer>(question: Question<Answer>): Promise<Answer> {
    const { limits, clock } = this.#host
    if (question.takesNoPlace !== true && this.#waiting.size >= limits.maxAuthentications * WAITING) {
      return Promise.reject(new Refusal('authentication-unavailable'))
    }
    return new Promise((resolve, reject) => {
      const wait = new Wait()
      /** Once: nobody waits any more. */
      const settle = (settleAs: () => void) => {
        if (wait.isOver) return
        cancel()
        this.#attempts.delete(question.asker)
        this.#waiting.delete(start)
        wait.end()
        settleAs()
      }
      const fail = (error: unknown) => settle(() => reject(error))
      const start = () => {
        const refusal = this.#host.meters.authenticating(question.request.remoteAddress)
        if (refusal !== null) {
          fail(refusal)
          return
        }
        const leave = question.takesNoPlace === true ? this.#follow(question) : this.#enter(question)
        this.#call(question, wait)
          .then((answer) => settle(() => resolve(answer)), fail)
          .finally(leave)
      }
      const cancel = clock.after(limits.authenticateTimeoutMs, () => fail(this.#tooLate(question)))
      this.#attempts.set(question.asker, fail)
      if (question.takesNoPlace === true || this.#running < limits.maxAuthentications) start()
      else this.#waiting.add(start)
    })
  }

  /** Whoever asked has left: what is found out does not matter any more. */
  left(asker: object): void {
    this.#attempts.get(asker)?.(new Refusal('bad-request', 'The client left.'))
  }

  /** Takes no place. @returns to be called when it has ended */
  #follow({ request }: Question<unknown>): () => void {
    return () => this.#host.meters.authenticated(request.remoteAddress)
  }

  /** Takes a place, for as long as a hook may take. @returns gives it back */
  #enter({ request }: Question<unknown>): () => void {
    const { limits, clock, meters } = this.#host
    let isIn = true
    const leave = () => {
      if (!isIn) return
      isIn = false
      cancel()
      meters.authenticated(request.remoteAddress)
      this.#running--
      this.#startWaiting()
    }
    this.#running++
    const cancel = clock.after(limits.authenticateTimeoutMs, leave)
    return leave
  }

  #startWaiting(): void {
    for (const start of this.#waiting) {
      if (this.#running >= this.#host.limits.maxAuthentications) return
      this.#waiting.delete(start)
      start()
    }
  }

  #tooLate({ where }: Question<unknown>): Refusal {
    const { authenticateTimeoutMs } = this.#host.limits
    const text = `authenticate did not settle within authenticateTimeoutMs (${authenticateTimeoutMs}): the client was refused.`
    this.#host.report(new GroupcastError('authentication-timeout', text), where)
    return new Refusal('authentication-timeout')
  }

  /** Whatever throws or rejects, the hook or the reading of the request, the promise rejects: its place is given back in one place. */
  async #call<Answer>(question: Question<Answer>, wait: Wait): Promise<Answer> {
    const { hook, request, token, identity, accept } = question
    const { allowedOrigins, meters } = this.#host
    try {
      const given = await hook(
        new ClientsRequest(request, token ?? tokenOf(request), identity, wait, allowedOrigins),
      )
      const found = given === null ? null : asIdentity(given)
      wait.throwIfOver()
      return accept(found)
    } catch (error) {
      // Also of who has left meanwhile: leaving must not make attempts free.
      if (isFailedAuthentication(error)) meters.failed(request.remoteAddress)
      throw error
    }
  }
}

/** Whether somebody still waits for an answer. The signal is made for hooks that look at it: most do not, and to abort one costs more than most hooks (bench: soak). */
class Wait {
  #controller: AbortController | null = null
  isOver = false

  get signal(): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController()
      if (this.isOver) this.#controller.abort()
    }
    return this.#controller.signal
  }

  end(): void {
    this.isOver = true
    this.#controller?.abort()
  }

  throwIfOver(): void {
    if (this.isOver) throw new Refusal('bad-request', 'Nobody waits for the answer any more.')
  }
}

/** The request of a client, with what concerns who it is. */
class ClientsRequest implements AuthenticationRequest {
  readonly #request: ConnectionRequest
  readonly token: string | null
  readonly identity: Identity | null
  readonly #wait: Wait
  readonly #mayUseCookies: boolean

  constructor(
    request: ConnectionRequest,
    token: string | null,
    identity: Identity | null,
    wait: Wait,
    allowedOrigins: readonly string[],
  ) {
    this.#request = request
    this.token = token
    this.identity = identity
    this.#wait = wait
    const facts = {
      origin: request.header('origin'),
      host: request.header('host'),
      encrypted: request.encrypted,
    }
    this.#mayUseCookies = mayUseCookies(facts, allowedOrigins)
  }

  get signal(): AbortSignal {
    return this.#wait.signal
  }

  get method(): string {
    return this.#request.method
  }

  get url(): string {
    return this.#request.url
  }

  get path(): string {
    return this.#request.path
  }

  get query(): URLSearchParams {
    return this.#request.query
  }

  get remoteAddress(): string {
    return this.#request.remoteAddress
  }

  get encrypted(): boolean {
    return this.#request.encrypted
  }

  header(name: string): string | undefined {
    if (!this.#mayUseCookies && name.toLowerCase() === 'cookie') return undefined
    return this.#request.header(name)
  }

  cookie(name: string): string | undefined {
    return cookieOf(this.header('cookie'), name)
  }
}

/** The scheme in any case, one or more spaces, `b64token` (RFC 9110, section 11.1; RFC 6750, section 2.1). */
const BEARER = /^bearer +([A-Za-z0-9._~+/-]+=*) *$/i
const TOKEN_PROTOCOL = 'groupcast.token.'

/**
 * The token that a client gave by itself; `null`: none.
 *
 * @throws {Refusal} `bad-request` for several, and for a header that begins as if it had one (RFC 6750, section 3.1)
 */
export function tokenOf(request: ConnectionRequest): string | null {
  const authorization = request.header('authorization')
  const found: string[] = []
  if (authorization !== undefined && /^bearer(?: |$)/i.test(authorization)) {
    const token = BEARER.exec(authorization)?.[1]
    if (token === undefined)
      throw new Refusal('bad-request', 'The Authorization header has no readable token.')
    found.push(token)
  }
  for (const offered of request.header('sec-websocket-protocol')?.split(',') ?? []) {
    const protocol = offered.trim()
    if (protocol.startsWith(TOKEN_PROTOCOL)) found.push(protocol.slice(TOKEN_PROTOCOL.length))
  }
  if (found.length > 1) {
    throw new Refusal('bad-request', 'The request has more than one token: give it in one way.')
  }
  return found[0] ?? null
}
