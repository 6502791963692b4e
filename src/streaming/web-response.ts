import { GroupcastError } from '../errors.ts'
import { assertSource, type Source } from '../source.ts'
import { Body } from './body.ts'
import { type ResolvedStreamOptions, resolveStreamOptions, type StreamedResponseOptions } from './options.ts'

/**
 * A web `Response` whose body is what a source yields, piece by piece: for handlers that return one (Hono, Next.js, SvelteKit, Deno,
 * Bun). The source is pulled when the body is read; when the reader cancels, its `return()` runs.
 *
 * The status is decided before the first piece is known, so an error of the source always comes after it: the body then fails, in
 * `ndjson` and `sse` behind a record that says so.
 *
 * @throws {MisuseError} `invalid-option` for a source or option that cannot be used
 * @throws {TypeError} for headers that HTTP does not allow
 *
 * @example
 * app.get('/tokens', () => streamedResponse(tokens(), { format: 'sse' }))
 */
export function streamedResponse(source: Source, options: StreamedResponseOptions = {}): Response {
  assertSource(source)
  const resolved = resolveStreamOptions('streamedResponse', options)
  const headers = new Headers({ ...resolved.defaultHeaders, ...resolved.headers })
  // Nothing is pulled before somebody reads, and then one piece at a time.
  const stream = new ReadableStream<Uint8Array>(new BodySource(new Body(source, resolved), resolved), {
    highWaterMark: 0,
  })
  return new Response(stream, { status: resolved.status ?? 200, headers })
}

type Controller = ReadableStreamDefaultController<Uint8Array>

/** A body as the underlying source of a web stream (WHATWG Streams, section 4.2.3). */
class BodySource {
  readonly #body: Body
  readonly #options: ResolvedStreamOptions
  /** The record of the failure was enqueued: the stream fails when that was read, since failing empties its queue. */
  #failure: GroupcastError | null = null

  constructor(body: Body, options: ResolvedStreamOptions) {
    this.#body = body
    this.#options = options
  }

  async pull(controller: Controller): Promise<void> {
    if (this.#failure !== null) throw this.#failure
    const stopHeartbeat = this.#startHeartbeat(controller)
    try {
      // A pull that enqueues nothing is not repeated.
      while (!(await this.#enqueueNext(controller))) {}
    } finally {
      stopHeartbeat()
    }
  }

  cancel(): void {
    // A pull that is under way ends now; what it still does, the stream ignores.
    this.#body.close()
  }

  /** Whether there was something to enqueue, or nothing more will come. */
  async #enqueueNext(controller: Controller): Promise<boolean> {
    const part = await this.#body.next()
    const hasBytes = part.bytes !== null && part.bytes.length > 0
    switch (part.kind) {
      case 'piece':
        if (hasBytes) controller.enqueue(part.bytes)
        return hasBytes
      case 'end':
        if (hasBytes) controller.enqueue(part.bytes as Uint8Array)
        controller.close()
        return true
      case 'failed':
      case 'aborted':
        this.#failure = new GroupcastError(part.error.code)
        if (!hasBytes) throw this.#failure
        controller.enqueue(part.bytes as Uint8Array)
        return true
      default:
        return part satisfies never
    }
  }

  /** Comments while somebody waits for a piece; not when one waits to be read already. */
  #startHeartbeat(controller: Controller): () => void {
    const { heartbeatMs, clock } = this.#options
    const { heartbeat } = this.#body.format
    if (heartbeat === null || heartbeatMs === false) return () => {}
    return clock.every(heartbeatMs, () => {
      if (controller.desiredSize === 0) controller.enqueue(heartbeat)
    })
  }
}
