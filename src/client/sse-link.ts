import { ClientError, type ClientErrorCode, lost } from './client-error.ts'
import { eventStreamParser } from './event-stream.ts'
import type { Link, LinkEvents, Target } from './link.ts'
import type { Settings } from './options.ts'

/**
 * Server-Sent Events by `fetch`, not by `EventSource`: that one hides heartbeats, statuses and headers, and comes back on its own. What is
 * sent is posted, one after another, so that it arrives in order.
 */
export function openEventStream(
  { url, postUrl, token }: Target,
  { fetch, credentials }: Settings,
  events: LinkEvents,
): Link {
  const abort = new AbortController()
  const authorization = token && { Authorization: `Bearer ${token}` }
  let posts: Promise<unknown> = Promise.resolve()

  const read = async () => {
    const response = await fetch(url, {
      headers: { Accept: 'text/event-stream', ...authorization },
      cache: 'no-store',
      credentials,
      signal: abort.signal,
      // Node's types leave out `cache`, and Node needs none.
    } as RequestInit)
    const type = `${response.headers.get('Content-Type')}`
    if (response.status !== 200) return refusal(response)
    // Media types have no case.
    if (!/event-stream/i.test(type) || !response.body) return lost(`No stream: ${type}`)
    const parse = eventStreamParser(events)
    const decoder = new TextDecoder()
    const reader = response.body.getReader()
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return lost('Stream ended')
      events.seen()
      parse(decoder.decode(value, { stream: true }))
    }
  }

  const post = async (body: string, connectionId: string, signal: AbortSignal) => {
    const headers = {
      'Content-Type': 'application/json',
      'Groupcast-Connection': connectionId,
      ...authorization,
    }
    const response = await fetch(postUrl, { method: 'POST', headers, body, credentials, signal })
    if (response.status !== 202) throw await refusal(response)
    // Read, so that the connection below it is free again.
    await response.text()
  }

  read().then(events.ended, (cause) => events.ended(lost('Stream ended', cause)))
  return {
    send(...command) {
      const posted = posts.then(() => post(...command))
      posts = posted.catch(() => {})
      return posted
    },
    close: () => abort.abort(),
  }
}

/** What an answer other than the expected one means. Problem documents (RFC 9457) say more than the status. */
async function refusal(response: Response): Promise<ClientError> {
  const { status } = response
  // `null` is JSON too, and says as little as HTML.
  const problem = (await response.json().catch(() => null)) as Problem | null
  // Without it `null`: 0 as a number, and no date.
  const after = response.headers.get('Retry-After') as string
  return new ClientError(
    problem?.code ?? 'refused',
    `The server answered ${status} ${problem?.detail ?? problem?.title ?? ''}`,
    {
      status,
      // Timeouts, clients that are too early or too many, and what is the server's fault may pass; the rest of 4xx stays.
      comeBack: status >= 500 || [408, 425, 429].includes(status),
      // A number of seconds. A date that has passed, or is none, asks for nothing.
      retryAfterMs: Math.max(Number(after) * 1000 || Date.parse(after) - Date.now() || 0, 0),
    },
  )
}

interface Problem {
  readonly code?: ClientErrorCode
  readonly title?: string
  readonly detail?: string
}
