import type { ServerResponse } from 'node:http'
import type { Http2ServerResponse } from 'node:http2'
import { MisuseError } from '../errors.ts'
import { assertSource, type Source } from '../source.ts'
import type { StreamOutcome } from '../stream-end.ts'
import { Body, type BodyPart, type StreamResult } from './body.ts'
import { resolveStreamOptions, type StreamResponseOptions } from './options.ts'
import { ResponseWriter } from './response-writer.ts'

/**
 * Answers a request with what a source yields, piece by piece: a handler of `node:http`, `node:https`, `node:http2` or whatever
 * is built on them. The source is pulled when the client has taken what came before; when the client leaves, its `return()` runs.
 *
 * An error of the source is never taken for the end. Before the first byte the client gets an error status (500, or that of a
 * {@link Refusal}) and a problem document; after it the response is cut off, in `ndjson` and `sse` behind a record that says so.
 *
 * @returns what became of it, when the response is over; the promise never rejects, since most handlers do not await it
 * @throws {MisuseError} `invalid-option` for a response, source or option that cannot be used: at the call, the source untouched
 *
 * @example
 * createServer((request, response) => {
 *   streamResponse(response, rows(), { format: 'ndjson' })
 * })
 */
export function streamResponse(
  response: ServerResponse | Http2ServerResponse,
  source: Source,
  options: StreamResponseOptions = {},
): Promise<StreamResult> {
  if (typeof (response as Partial<ServerResponse> | undefined)?.flushHeaders !== 'function') {
    throw new MisuseError(
      'invalid-option',
      'streamResponse takes a response of node:http or node:http2; frameworks have it under a name such as reply.raw or ctx.res.',
    )
  }
  assertSource(source)
  const resolved = resolveStreamOptions('streamResponse', options)
  const writer = new ResponseWriter(response, resolved)
  return stream(writer, new Body(source, resolved))
}

async function stream(writer: ResponseWriter, body: Body): Promise<StreamResult> {
  writer.onLeave = () => body.close()
  try {
    const outcome = writer.hasBody ? await pump(writer, body) : writer.endHead()
    return { outcome, pieces: body.pieces }
  } finally {
    writer.release()
    body.close()
  }
}

async function pump(writer: ResponseWriter, body: Body): Promise<StreamOutcome> {
  writer.begin(body.format.heartbeat)
  while (!writer.isGone) {
    const part = await body.next()
    if (writer.isGone) break
    if (part.kind !== 'piece') return finish(writer, part)
    await writer.write(part.bytes)
  }
  return 'left'
}

function finish(writer: ResponseWriter, part: Exclude<BodyPart, { kind: 'piece' }>): Promise<StreamOutcome> {
  return part.kind === 'end' ? writer.end(part.bytes) : writer.fail(part)
}
