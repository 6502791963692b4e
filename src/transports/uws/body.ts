import type { UwsResponse } from './uws.ts'

const EMPTY = Buffer.alloc(0)

/**
 * Reads a body, in the handler of its request.
 *
 * @param done gets the body once, or `null` as soon as it has more than `maxBytes`; never when the client leaves before
 */
export function readBody(
  response: UwsResponse,
  maxBytes: number,
  done: (body: Buffer | null) => void,
): void {
  let chunks: Buffer[] | null = []
  let size = 0
  response.onData((chunk, isLast) => {
    if (chunks === null) return
    size += chunk.byteLength
    if (size > maxBytes) {
      chunks = null
      done(null)
      return
    }
    // Copied: the bytes are gone when the handler returns.
    if (chunk.byteLength > 0) chunks.push(Buffer.from(new Uint8Array(chunk)))
    if (!isLast) return
    const [first = EMPTY] = chunks
    const body = chunks.length < 2 ? first : Buffer.concat(chunks, size)
    chunks = null
    done(body)
  })
}
