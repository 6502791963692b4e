/** A server back end without sockets: a test is the network. For tests of the hub that need thousands of connections, or none to race with. */
import type { Batch } from '../../src/batch.ts'
import type { ConnectionRequest, Gate, Link, LinkOwner, ServerBackend } from '../../src/transports/backend.ts'
import { streamFormat } from '../../src/wire/http-stream.ts'

/** What came out of a link, as its client sees it: one envelope each. */
export interface Envelope {
  /** When it was written, by the test's own count. */
  readonly at: number
  readonly open?: { readonly cursor?: string; readonly groups: readonly string[] }
  readonly reset?: { readonly groups: readonly string[]; readonly cursor: string }
  readonly group?: string
  readonly cursor?: string
  readonly past?: string
  readonly message?: { readonly type: string; readonly n: number }
  readonly reply?: number
  readonly result?: { readonly group?: string }
  readonly close?: { readonly code: number }
}

const format = streamFormat('ndjson', true, 'raw')

/** One client's end. Takes everything unless `isCongested`. */
export class FakeLink implements Link {
  isCongested = false
  /** Congested after so many more writes. */
  budget = Number.POSITIVE_INFINITY
  /** How many writes there were. */
  writes = 0
  isClosed = false
  readonly envelopes: Envelope[] = []
  readonly batches: Batch[] = []
  readonly bufferedBytes = 0
  readonly writtenBytes = 0
  readonly sharesBytes = true
  readonly answersHeartbeats = false
  #owner: LinkOwner
  #now: () => number

  constructor(owner: LinkOwner, now: () => number) {
    this.#owner = owner
    this.#now = now
  }

  get writable(): boolean {
    return !this.isCongested
  }

  write(batch: Batch): boolean {
    this.writes++
    if (--this.budget <= 0) this.isCongested = true
    this.batches.push(batch)
    for (const line of batch.bytes().toString().split('\n'))
      if (line !== '') this.envelopes.push({ at: this.#now(), ...JSON.parse(line) })
    return this.writable
  }

  /** Reads on. */
  drain(): void {
    this.isCongested = false
    this.budget = Number.POSITIVE_INFINITY
    this.#owner.drained()
  }

  say(command: object): void {
    const text = JSON.stringify(command)
    this.#owner.received(text, Buffer.byteLength(text))
  }

  /** The client is gone. */
  cut(): void {
    if (this.isClosed) return
    this.isClosed = true
    this.#owner.closed(1006, '')
  }

  close(): void {
    this.cut()
  }

  terminate(): void {
    this.cut()
  }

  heartbeat = () => true
  pause(): void {}
  resume(): void {}
}

/** Pass `backend` to `createHub`, `hub.attach({})`, then `connect` clients. */
export function fakeBackend(now: () => number = () => 0): {
  readonly backend: ServerBackend<object>
  /** @param budget the client takes no more writes than this before it is drained */
  connect(url: string, headers?: Readonly<Record<string, string>>, budget?: number): Promise<FakeLink>
} {
  let gate: Gate | null = null
  return {
    backend: {
      name: 'fake',
      attach(_server, given) {
        gate = given
        return { detach() {} }
      },
    },
    async connect(url, headers = {}, budget = Number.POSITIVE_INFINITY) {
      const plan = gate?.plan(requestOf(url, headers))
      if (plan?.kind !== 'stream') throw new Error(`No stream at ${url}: ${JSON.stringify(plan)}`)
      const { decision, owner } = (gate as Gate).admit(plan, format)
      const denial = await decision
      if (denial !== null) throw new Error(`Denied: ${JSON.stringify(denial)}`)
      const link = new FakeLink(owner, now)
      link.budget = budget
      owner.opened(link)
      return link
    },
  }
}

function requestOf(url: string, headers: Readonly<Record<string, string>>): ConnectionRequest {
  const { pathname, searchParams } = new URL(url, 'http://localhost')
  const all: Record<string, string> = { host: 'localhost', accept: 'application/x-ndjson', ...headers }
  return {
    method: 'GET',
    url,
    path: pathname,
    query: searchParams,
    remoteAddress: '127.0.0.1',
    encrypted: false,
    header: (name) => all[name.toLowerCase()],
  }
}

/** Until everything of this turn, and what follows from it, is done. */
export async function settled(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve))
}
