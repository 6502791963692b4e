/** Subscribes over Server-Sent Events. */
import { EventSource } from 'eventsource'
import { Inbox } from './inbox.ts'
import { openStream } from './stream.ts'
import { readEnvelope } from './texts.ts'
import { addressOf, type Ending, LOST, type Received, type Target } from './transport.ts'

/** See `Connect`. */
export async function* connectSse(target: Target, signal: AbortSignal): AsyncGenerator<Received, Ending> {
  const inbox = new Inbox<Received, Ending>()
  const address = addressOf(target)
  address.searchParams.set('envelope', '1')
  const source = open(address, target, signal, inbox)
  listen(source, target.envelope, inbox)
  const stop = () => inbox.end(LOST)
  signal.addEventListener('abort', stop, { once: true })
  if (signal.aborted) stop()
  try {
    return yield* inbox.read()
  } finally {
    signal.removeEventListener('abort', stop)
    source.close()
  }
}

/** An `EventSource` whose first failure is the last: when to connect again is for the caller to say. */
function open(url: URL, target: Target, signal: AbortSignal, inbox: Inbox<Received, Ending>): EventSource {
  const fetchOnce = async (_: unknown, init: { signal: AbortSignal }) => {
    const either = AbortSignal.any([signal, init.signal])
    const opened = await openStream(url, 'text/event-stream', target, either)
    if ('response' in opened) return opened.response
    inbox.end(opened.ending)
    throw new Error(opened.ending.text)
  }
  return new EventSource(url, { fetch: fetchOnce })
}

function listen(source: EventSource, envelope: boolean, inbox: Inbox<Received, Ending>): void {
  source.addEventListener('open', () => inbox.push({ kind: 'open' }))
  source.addEventListener('message', ({ data }) => {
    const meaning = readEnvelope(data, envelope)
    if (meaning?.kind === 'close') inbox.end(meaning.ending)
    else if (meaning !== null) inbox.push(meaning)
  })
  source.addEventListener('error', () => inbox.end(LOST))
}
