/** The server's HTTP API, as far as the page uses it. */
import { apiUrl, messagesUrl } from './places.js'

const TIMEOUT_MS = 10_000
/** 4000–4499: the client is to come back. */
const DROP_CODE = 4000

/** An answer that says no: `status`, the hub's `code` where there is one, and a text for people. */
export class ProblemError extends Error {
  constructor(status, problem) {
    super(problem.detail ?? problem.title ?? `The server answered ${status}.`)
    this.name = 'ProblemError'
    this.status = status
    this.code = problem.code ?? null
  }
}

export class Api {
  /** Sent as `Authorization: Bearer` unless empty. In memory only: a key in storage outlives its use. */
  key = ''

  /** @returns `{ cursor }` @throws {ProblemError} when the server refuses; a `TypeError` when it cannot be reached */
  async publish(group, message) {
    return this.#post(messagesUrl(group), 'application/json', JSON.stringify(message))
  }

  /** Publishes `{ groups, message }` objects as lines of JSON. @returns `{ results }` in their order */
  async publishMany(publications, signal) {
    const lines = publications.map((publication) => `${JSON.stringify(publication)}\n`).join('')
    return this.#post(apiUrl('publish'), 'application/x-ndjson', lines, signal)
  }

  /** Closes a connection with a code after which its client comes back. */
  async dropConnection(id) {
    const url = new URL(apiUrl(`connections/${encodeURIComponent(id)}`))
    url.searchParams.set('code', String(DROP_CODE))
    await this.#request(url, { method: 'DELETE' })
  }

  /** @returns a map from the name of each group to `{ websocket, sse, ndjson }` */
  async connectionCounts() {
    const { groups } = await this.#request(apiUrl('groups'), {})
    return new Map(groups.map(({ name, connections }) => [name, connections]))
  }

  async #post(url, contentType, body, signal) {
    return this.#request(url, { method: 'POST', headers: { 'Content-Type': contentType }, body, signal })
  }

  async #request(url, { headers = {}, signal, ...options }) {
    const response = await fetch(url, {
      ...options,
      headers: this.key ? { ...headers, Authorization: `Bearer ${this.key}` } : headers,
      cache: 'no-store',
      signal: signal ?? AbortSignal.timeout(TIMEOUT_MS),
    })
    const body = await response.json().catch(() => ({}))
    if (!response.ok) throw new ProblemError(response.status, body)
    return body
  }
}

/** What went wrong, in one line. */
export function failureText(error) {
  if (error instanceof ProblemError) {
    return `${error.status}${error.code ? ` ${error.code}` : ''}: ${error.message}`
  }
  if (error.name === 'TimeoutError') return 'The server did not answer in time.'
  return 'The server cannot be reached.'
}
