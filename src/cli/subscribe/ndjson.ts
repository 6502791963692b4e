/** Subscribes over a response of JSON lines. */
import { networkFault } from '../http.ts'
import { openStream } from './stream.ts'
import { readEnvelope } from './texts.ts'
import { addressOf, type Ending, LOST, type Received, type Target } from './transport.ts'

/** See `Connect`. */
export async function* connectNdjson(target: Target, signal: AbortSignal): AsyncGenerator<Received, Ending> {
  const url = addressOf(target)
  const opened = await openStream(url, 'application/x-ndjson', target, signal)
  if ('ending' in opened) return opened.ending
  yield { kind: 'open' }
  try {
    for await (const line of linesOf(opened.body)) {
      const meaning = readEnvelope(line, target.envelope)
      if (meaning?.kind === 'close') return meaning.ending
      if (meaning !== null) yield meaning
    }
  } catch (error) {
    return signal.aborted ? LOST : { ...networkFault(error, url), code: null }
  }
  return LOST
}

/** The lines of a body, without the empty ones that keep it awake, and without a last one that was cut off. */
async function* linesOf(body: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of body) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) if (line.trim() !== '') yield line
  }
}
