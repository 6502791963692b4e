/** Opens a streamed response: what SSE and ndjson have in common. */
import { ANSWER_TIMEOUT_MS, networkFault, refusalOf } from '../http.ts'
import { type Ending, LOST, type Target } from './transport.ts'

/** A response that has begun, or why it has not. */
export type Opened =
  | { readonly response: Response; readonly body: NonNullable<Response['body']> }
  | { readonly ending: Ending }

/** Requests a stream of the given media type. Does not reject. */
export async function openStream(
  url: URL,
  mediaType: string,
  { authorization }: Pick<Target, 'authorization'>,
  signal: AbortSignal,
): Promise<Opened> {
  // The limit is for the beginning of the answer only: a signal with a timeout would cut the stream too.
  const timeout = new AbortController()
  const timer = setTimeout(
    () => timeout.abort(new DOMException('too late', 'TimeoutError')),
    ANSWER_TIMEOUT_MS,
  )
  try {
    const response = await fetch(url, {
      headers: { accept: mediaType, 'cache-control': 'no-store', ...authorization },
      signal: AbortSignal.any([signal, timeout.signal]),
      redirect: 'manual',
    })
    return await checked(response, mediaType)
  } catch (error) {
    return { ending: signal.aborted ? LOST : { ...networkFault(error, url), code: null } }
  } finally {
    clearTimeout(timer)
  }
}

async function checked(response: Response, mediaType: string): Promise<Opened> {
  const { status, headers, body } = response
  if (status !== 200 || body === null) {
    const fault = await refusalOf({ status, location: headers.get('location'), body })
    return { ending: { ...fault, code: null } }
  }
  const type = headers.get('content-type') ?? 'nothing'
  if (type.split(';')[0]?.trim().toLowerCase() === mediaType) return { response, body }
  await body.cancel()
  const text = `the server answers with ${type}, not ${mediaType}: is it a groupcast server, and is --path right?`
  return { ending: { code: null, text, comeBack: false } }
}
