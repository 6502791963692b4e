// @ts-check
/** Publishes to peers over HTTP: pipelined on one connection, so that messages keep their order. */
import { connect } from 'node:net'
import { loadGenerator } from './dist.mjs'

const SHOWN_OF_REFUSAL = 200

/**
 * @param {string} url
 * @param {string} target path and query
 * @param {Readonly<Record<string, string>>} [headers] of each request
 * @returns {Promise<{ post(bodies: string[]): Promise<void>, close(): void }>}
 */
export async function poster(url, target, headers = {}) {
  const { ResponseReader } = await loadGenerator()
  const { hostname, port, host } = new URL(url)
  /** Posts that wait for their answers, oldest first: answers come in the order of the requests. @type {{ left: number, settle(why: string | null): void }[]} */
  const waiting = []
  const fail = (/** @type {string} */ why) => {
    for (const { settle } of waiting.splice(0)) settle(why)
  }
  const reader = new ResponseReader(({ status, errors, body }) => {
    const [first] = waiting
    if (status >= 300) fail(`a request to publish was refused with ${status}`)
    // Some answer 200 whatever became of the messages.
    else if (errors > 0) fail(`a message was refused: ${body.slice(0, SHOWN_OF_REFUSAL)}`)
    else if (first !== undefined && --first.left === 0) waiting.shift()?.settle(null)
  })
  const open = () => {
    const opened = connect({ host: hostname, port: Number(port), noDelay: true })
    opened.on('data', (bytes) => reader.read(bytes))
    opened.on('error', () => {})
    opened.on('close', () => fail('the publishing connection was closed'))
    return opened
  }
  const fields = Object.entries({ Host: host, ...headers }).map(([name, value]) => `${name}: ${value}\r\n`)
  const head = `POST ${target} HTTP/1.1\r\n${fields.join('')}`
  let socket = open()
  return {
    async post(bodies) {
      // Servers close connections that were idle for long.
      if (socket.destroyed || socket.readableEnded) socket = open()
      const done = new Promise((resolve, reject) => {
        const settle = (/** @type {string | null} */ why) =>
          why === null ? resolve(undefined) : reject(new Error(why))
        waiting.push({ left: bodies.length, settle })
      })
      const requests = bodies.map(
        (body) => `${head}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
      )
      socket.write(requests.join(''))
      await done
    },
    close: () => void socket.destroy(),
  }
}
