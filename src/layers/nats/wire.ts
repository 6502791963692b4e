import {
  type ConnectionOptions,
  connect,
  createInbox,
  errors,
  type Msg,
  type MsgHdrs,
  type NatsConnection,
  headers as newHeaders,
  type PublishOptions,
} from '@nats-io/transport-node'
import { GroupcastError } from '../../errors.ts'
import { type Deferred, deferred } from '../broker/deferred.ts'

/** The broker said no: nothing has happened. */
export class Refused extends Error {}

/** How a connection is opened. */
export interface WireOptions {
  readonly servers: readonly string[]
  /** What the user gives besides: credentials, TLS, … */
  readonly connection: ConnectionOptions
  readonly timeoutMs: number
  /** The connection is lost. */
  lost(error: unknown): void
}

type Handler = (msg: Msg) => void

/** A subscription. */
export interface Subscription {
  unsubscribe(): void
}

/**
 * One connection, which is never mended: what fails, fails at once. The client library's own reconnecting would send again what nobody knows the fate
 * of, and its requests each cost a timer.
 */
export class Wire {
  readonly #connection: NatsConnection
  readonly #inbox: string
  /** Who waits for an answer, by the last token of the subject that it comes to. */
  readonly #requests = new Map<string, { readonly subject: string; readonly answer: Deferred<Msg> }>()
  /** How often publishing on a subject was denied. */
  readonly #denials = new Map<string, number>()
  /** Of what was sent in this turn, by subject. */
  readonly #confirming = new Map<string, Promise<null>>()
  readonly #gone = deferred<never>()
  #isGone = false
  #tokens = 0
  #flushing: Promise<void> | null = null

  static async open(options: WireOptions, signal: AbortSignal): Promise<Wire> {
    const { servers, connection, timeoutMs } = options
    const opening = connect({
      name: 'groupcast',
      ...connection,
      servers: [...servers],
      timeout: Math.max(500, Math.floor(timeoutMs / servers.length)),
      reconnect: false,
      noAsyncTraces: true,
    })
    const opened = await opening.catch((error) => {
      throw new Error(textOf(error), { cause: error })
    })
    const wire = new Wire(opened, options)
    if (signal.aborted) {
      wire.destroy()
      throw signal.reason
    }
    return wire
  }

  private constructor(connection: NatsConnection, options: WireOptions) {
    this.#connection = connection
    this.#inbox = createInbox(options.connection.inboxPrefix)
    connection.subscribe(`${this.#inbox}.*`, {
      callback: (error, msg) => {
        if (error !== null) options.lost(new Refused(textOf(error)))
        else this.#answer(msg)
      },
    })
    void this.#watch()
    void connection.closed().then((error) => {
      if (this.#isGone) return
      options.lost(new Error(error ? textOf(error) : 'The server closed the connection.'))
    })
  }

  get serverVersion(): string {
    return this.#connection.info?.version ?? ''
  }

  /** Whether the server is one of several. */
  get isClustered(): boolean {
    return (this.#connection.info?.cluster ?? '') !== ''
  }

  /** What tells this start of the server from all others; `null` where another server may keep the streams. */
  get serverId(): string | null {
    const { jetstream, server_id } = this.#connection.info ?? {}
    return jetstream === true && !this.isClustered && server_id !== undefined ? server_id : null
  }

  get maxPayload(): number {
    return this.#connection.info?.max_payload ?? 0
  }

  /** Sends at once, without waiting for anything. @throws {GroupcastError} `invalid-message` when it is too large */
  publish(subject: string, text: string, options: PublishOptions = {}): void {
    const bytes = Buffer.from(text)
    const most = this.maxPayload
    if (bytes.length > most) {
      throw new GroupcastError(
        'invalid-message',
        `The message has ${bytes.length} bytes: the NATS server takes at most ${most} (its max_payload).`,
      )
    }
    if (this.#isGone) throw new Refused('The connection is gone.')
    this.#connection.publish(subject, bytes, options)
  }

  /**
   * Resolves when the server has it. What one turn sends to one subject has one fate, and one promise of it.
   *
   * @throws {Refused} without the permission
   */
  publishConfirmed(subject: string, text: string): Promise<null> {
    try {
      this.publish(subject, text)
    } catch (error) {
      return Promise.reject(error)
    }
    const known = this.#confirming.get(subject)
    if (known !== undefined) return known
    const confirming = this.#confirmed(subject)
    this.#confirming.set(subject, confirming)
    return confirming
  }

  async #confirmed(subject: string): Promise<null> {
    const denials = this.#denials.get(subject)
    await this.flush()
    if (this.#denials.get(subject) !== denials) throw denied('publish', subject)
    return null
  }

  /** Sends and resolves with the first answer. @throws {Refused} when nobody listens there, and without the permission */
  request(subject: string, text = '', headers?: Readonly<Record<string, string>>): Promise<Msg> {
    const token = this.#token()
    const answer = deferred<Msg>()
    // First: what it throws leaves nothing behind.
    const reply = `${this.#inbox}.${token}`
    this.publish(subject, text, headers === undefined ? { reply } : { reply, headers: headersOf(headers) })
    this.#requests.set(token, { subject, answer })
    return answer.promise
  }

  /** A subject that nobody else knows. */
  newInbox(): string {
    return `${this.#inbox}.${this.#token()}.all`
  }

  /** The handler must not throw. `onDenied` is called when the server refuses, before a {@link flush} after this resolves. */
  subscribe(subject: string, handler: Handler, onDenied: (error: Refused) => void): Subscription {
    if (this.#isGone) throw new Refused('The connection is gone.')
    const subscription = this.#connection.subscribe(subject, {
      callback: (error, msg) => {
        if (error !== null) onDenied(denied('subscribe to', subject))
        else if (!this.#isGone) handler(msg)
      },
    })
    return {
      unsubscribe: () => {
        if (!this.#isGone) subscription.unsubscribe()
      },
    }
  }

  /** Resolves when the server has done what was sent before, and this node has heard of its refusals. Calls of one turn share a round trip. */
  flush(): Promise<void> {
    this.#flushing ??= Promise.resolve().then(() => {
      this.#flushing = null
      this.#confirming.clear()
      return Promise.race([this.#roundTrip(), this.#gone.promise])
    })
    return this.#flushing
  }

  /** Cuts the connection at once. What is under way rejects. */
  destroy(): void {
    this.#end()
    // It waits for nothing that is on its way to the server.
    void this.#connection.close().catch(() => {})
  }

  /** Ends it when the server has all that was sent. */
  async close(): Promise<void> {
    await this.flush()
    this.#end()
    await this.#connection.close()
  }

  async #roundTrip(): Promise<void> {
    await this.#connection.flush()
    // Refusals come before the answer, but through an iterator of the library: some microtasks later.
    await new Promise(setImmediate)
  }

  #end(): void {
    if (this.#isGone) return
    this.#isGone = true
    const error = new Error('The connection to the NATS server is gone.')
    this.#gone.reject(error)
    for (const { answer } of this.#requests.values()) answer.reject(error)
    this.#requests.clear()
  }

  #token(): string {
    return (++this.#tokens).toString(36)
  }

  #answer(msg: Msg): void {
    if (this.#isGone) return
    const token = msg.subject.slice(this.#inbox.length + 1)
    const request = this.#requests.get(token)
    if (request === undefined) return
    this.#requests.delete(token)
    if (msg.data.length === 0 && msg.headers?.code === 503)
      request.answer.reject(new NobodyThere(request.subject))
    else request.answer.resolve(msg)
  }

  async #watch(): Promise<void> {
    for await (const status of this.#connection.status()) {
      if (status.type !== 'error' || !(status.error instanceof errors.PermissionViolationError)) continue
      const { operation, subject } = status.error
      if (operation === 'publish') this.#deny(subject)
    }
  }

  #deny(subject: string): void {
    this.#denials.set(subject, (this.#denials.get(subject) ?? 0) + 1)
    for (const [token, request] of this.#requests) {
      if (request.subject !== subject) continue
      this.#requests.delete(token)
      request.answer.reject(denied('publish', subject))
    }
  }
}

/** Nobody listens on a subject: no stream stores it, or JetStream is not there. */
export class NobodyThere extends Refused {
  constructor(subject: string) {
    super(`Nothing listens on ${subject}.`)
  }
}

function denied(what: string, subject: string): Refused {
  return new Refused(`No permission to ${what} ${subject}.`)
}

function headersOf(fields: Readonly<Record<string, string>>): MsgHdrs {
  const all = newHeaders()
  for (const [name, value] of Object.entries(fields)) all.set(name, value)
  return all
}

function textOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.message === '' ? error.name : error.message
}
