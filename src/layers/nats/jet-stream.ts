import type { Msg } from '@nats-io/transport-node'
import { deferred } from '../broker/deferred.ts'
import { NobodyThere, Refused, type Wire } from './wire.ts'

/** A message that a stream keeps. */
export interface Stored {
  readonly sequence: number
  readonly subject: string
  /** When the server stored it, in milliseconds since 1970. */
  readonly at: number
  readonly data: Buffer
}

/** What JetStream's API answers to a request that it does not fulfil. */
export class ApiError extends Refused {
  /** JetStream's own number of the error. */
  readonly errorCode: number

  constructor({ err_code, description }: WireError) {
    super(description ?? `JetStream error ${err_code}.`)
    this.errorCode = err_code ?? 0
  }
}

/** Error numbers of the server, as its `errors.json` has them. */
export const API = Object.freeze({
  noMessage: 10037,
  noStream: 10059,
  nameInUse: 10058,
  overlap: 10065,
  invalidConfig: 10052,
  wrongLast: 10071,
  unavailable: 10008,
})

interface WireError {
  readonly code?: number
  readonly err_code?: number
  readonly description?: string
}

/** As much of a stream's configuration as is used here; the rest is handed back as it came. */
export interface StreamConfig {
  readonly name: string
  readonly subjects?: readonly string[]
  readonly max_msgs_per_subject?: number
  readonly max_age?: number
  readonly max_bytes?: number
  readonly num_replicas?: number
  readonly [other: string]: unknown
}

export interface StreamInfo {
  readonly config: StreamConfig
  readonly state: { readonly last_seq: number; readonly first_seq: number }
  /** Where there is one: who leads; empty while nobody does. */
  readonly cluster?: { readonly name?: string; readonly leader?: string }
}

/** An idle consumer says so this often; shorter ones the server refuses. */
const HEARTBEAT_MS = 250

/**
 * What is used of JetStream, as requests to its API. The library for it repeats what it sends when nobody answers: a publication might come
 * twice.
 */
export class JetStream {
  readonly #wire: Wire

  constructor(wire: Wire) {
    this.#wire = wire
  }

  /** `null`: there is no such stream. */
  async info(stream: string): Promise<StreamInfo | null> {
    try {
      return await this.#ask<StreamInfo>(`STREAM.INFO.${stream}`)
    } catch (error) {
      if (error instanceof ApiError && error.errorCode === API.noStream) return null
      throw error
    }
  }

  create(config: StreamConfig): Promise<StreamInfo> {
    return this.#ask(`STREAM.CREATE.${config.name}`, config)
  }

  update(config: StreamConfig): Promise<StreamInfo> {
    return this.#ask(`STREAM.UPDATE.${config.name}`, config)
  }

  async remove(stream: string): Promise<void> {
    await this.#ask(`STREAM.DELETE.${stream}`)
  }

  /** Drops everything, or what comes before a sequence. */
  async purge(stream: string, before?: number): Promise<void> {
    await this.#ask(`STREAM.PURGE.${stream}`, before === undefined ? undefined : { seq: before })
  }

  /** @returns the sequence. @throws {NobodyThere} when no stream stores the subject; {ApiError} when it is refused */
  append(subject: string, json: string): Promise<number> {
    return this.#append(subject, json)
  }

  /** The same, if the last of the subject is still this one (0: none). @returns the sequence, or `null`: it is not */
  async appendAfter(last: number, subject: string, json: string): Promise<number | null> {
    try {
      return await this.#append(subject, json, { 'Nats-Expected-Last-Subject-Sequence': String(last) })
    } catch (error) {
      if (error instanceof ApiError && error.errorCode === API.wrongLast) return null
      throw error
    }
  }

  async #append(subject: string, json: string, headers?: Readonly<Record<string, string>>): Promise<number> {
    const { seq, error } = jsonOf<{ seq?: number; error?: WireError }>(
      await this.#wire.request(subject, json, headers),
    )
    if (error !== undefined) throw new ApiError(error)
    if (typeof seq !== 'number') throw new Error(`The answer to ${subject} is none of a stream.`)
    return seq
  }

  /** The first message of a subject (wildcards allowed) from a sequence on, as the stream's leader knows it; `null`: there is none. */
  next(stream: string, subject: string, from: number): Promise<Stored | null> {
    return this.#get(stream, { seq: from, next_by_subj: subject })
  }

  get(stream: string, sequence: number): Promise<Stored | null> {
    return this.#get(stream, { seq: sequence })
  }

  /** The newest of a subject; `null`: there is none. */
  last(stream: string, subject: string): Promise<Stored | null> {
    return this.#get(stream, { last_by_subj: subject })
  }

  /** `false`: it was not there any more. Of several that delete one message, one gets `true`. */
  async delete(stream: string, sequence: number): Promise<boolean> {
    try {
      await this.#ask(`STREAM.MSG.DELETE.${stream}`, { seq: sequence, no_erase: true })
      return true
    } catch (error) {
      if (error instanceof ApiError) return false
      throw error
    }
  }

  /** Hands over what a subject (wildcards allowed) has from a sequence on, in order, through a consumer that lives as long as this takes. */
  async read(stream: string, subject: string, from: number, take: (stored: Stored) => void): Promise<void> {
    const done = deferred<void>()
    const inbox = this.#wire.newInbox()
    const onMessage = (msg: Msg) => {
      if (msg.headers?.code === 100) this.#control(msg, done.resolve)
      else if (takeDelivered(msg, take) === 0) done.resolve()
    }
    const subscription = this.#wire.subscribe(inbox, onMessage, done.reject)
    try {
      const { name, num_pending } = await this.#consume(stream, {
        deliver_subject: inbox,
        filter_subject: subject,
        deliver_policy: 'by_start_sequence',
        opt_start_seq: from,
        flow_control: true,
        idle_heartbeat: HEARTBEAT_MS * 1e6,
      })
      if (num_pending > 0) await done.promise
      this.#ask(`CONSUMER.DELETE.${stream}.${name}`).catch(() => {})
    } finally {
      subscription.unsubscribe()
    }
  }

  /** Hands over the subject and the sequence of all that is stored from now on, in order, for as long as the connection lives. */
  async follow(
    stream: string,
    subject: string,
    onStored: (subject: string, sequence: number) => void,
  ): Promise<void> {
    const inbox = this.#wire.newInbox()
    // That it is denied is known before the consumer is made: answers come to the same inbox.
    this.#wire.subscribe(
      inbox,
      (msg) => onStored(msg.subject, metadataOf(msg).sequence),
      () => {},
    )
    await this.#consume(stream, {
      deliver_subject: inbox,
      filter_subject: subject,
      deliver_policy: 'new',
      headers_only: true,
    })
  }

  /** Makes a consumer that goes with the subscription to what it delivers. */
  #consume(stream: string, config: object): Promise<{ name: string; num_pending: number }> {
    return this.#ask(`CONSUMER.CREATE.${stream}`, {
      stream_name: stream,
      config: {
        ...config,
        ack_policy: 'none',
        replay_policy: 'instant',
        max_deliver: 1,
        mem_storage: true,
        num_replicas: 1,
      },
    })
  }

  /** Flow control wants an answer; a heartbeat comes when there is nothing more. */
  #control(msg: Msg, isIdle: () => void): void {
    const stalled = msg.headers?.get('Nats-Consumer-Stalled') ?? ''
    const reply = stalled === '' ? (msg.reply ?? '') : stalled
    if (reply === '') isIdle()
    else this.#wire.publish(reply, '')
  }

  async #get(stream: string, which: object): Promise<Stored | null> {
    try {
      const { message } = await this.#ask<{
        message: { subject: string; seq: number; data?: string; time: string }
      }>(`STREAM.MSG.GET.${stream}`, which)
      const { seq: sequence, subject, data = '', time } = message
      return { sequence, subject, at: Date.parse(time), data: Buffer.from(data, 'base64') }
    } catch (error) {
      if (error instanceof ApiError && error.errorCode === API.noMessage) return null
      throw error
    }
  }

  async #ask<T>(operation: string, body?: object): Promise<T> {
    const msg = await this.#wire
      .request(`$JS.API.${operation}`, body === undefined ? '' : JSON.stringify(body))
      .catch((error) => {
        throw error instanceof NobodyThere
          ? new Refused(
              'JetStream does not answer: enable it on the servers (jetstream { … }), and for the account.',
            )
          : error
      })
    const answer = jsonOf<T & { error?: WireError }>(msg)
    if (answer.error !== undefined) throw new ApiError(answer.error)
    return answer
  }
}

/** @returns how many are yet to come */
function takeDelivered(msg: Msg, take: (stored: Stored) => void): number {
  const { sequence, at, pending } = metadataOf(msg)
  take({ sequence, subject: msg.subject, at, data: Buffer.from(msg.data) })
  return pending
}

/** What a consumer says of a message, in the subject for answers. */
function metadataOf(msg: Msg): { readonly sequence: number; readonly at: number; readonly pending: number } {
  // $JS.ACK.<stream>.<consumer>.<delivered>.<stream sequence>.<consumer sequence>.<time>.<pending>; newer servers put a domain and an
  // account before the stream, and may put something behind.
  const tokens = (msg.reply ?? '').split('.')
  const first = tokens.length > 9 ? 7 : 5
  const [sequence, , nanoseconds, pending] = tokens.slice(first, first + 4)
  return { sequence: Number(sequence), at: Number(nanoseconds) / 1e6, pending: Number(pending) }
}

function jsonOf<T>(msg: Msg): T {
  return JSON.parse(Buffer.from(msg.data).toString()) as T
}
