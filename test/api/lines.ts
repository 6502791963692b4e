/** Lines to publish, and an API that takes them without a server. */
import { createApi } from '../../src/api/api.ts'
import type { ApiRequest } from '../../src/api/contract.ts'
import { FakeHub } from './fake-hub.ts'

export const NDJSON = { 'Content-Type': 'application/x-ndjson' }
/** The longest line. */
export const LIMIT = 200

/** What became of one send. */
export interface Result {
  readonly line: number
  readonly group?: string
  readonly cursor?: string | null
  readonly error?: { readonly code: string; readonly message: string }
}

/** A line of a publish to these groups, or to `a`. */
export function line(text: string, ...groups: string[]): string {
  return JSON.stringify({ groups: groups.length === 0 ? ['a'] : groups, message: { type: 'x', text } })
}

/** The API without a server: what these chunks become, and the hub that got them. */
export class Lines {
  readonly hub = new FakeHub()
  readonly #api = createApi(this.hub, { version: '1', maxBodyBytes: LIMIT, onError() {} })

  async publish(chunks: Iterable<Uint8Array>): Promise<readonly Result[]> {
    this.hub.sent.length = 0
    const request: ApiRequest = {
      method: 'POST',
      url: '/api/publish',
      path: '/api/publish',
      query: new URLSearchParams(),
      remoteAddress: '',
      encrypted: false,
      header: (name) => (name === 'content-type' ? 'application/x-ndjson' : undefined),
      body: (async function* () {
        yield* chunks
      })(),
    }
    const answer = await this.#api.handle(request)
    let text = ''
    for await (const piece of answer?.body ?? '') text += piece
    return (JSON.parse(text) as { results: readonly Result[] }).results
  }
}

export const sentTexts = (hub: FakeHub) => hub.sent.map(({ message }) => (message as { text: string }).text)
