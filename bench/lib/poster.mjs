// @ts-check
/** Publishes to peers over HTTP: pipelined on one connection, so that messages keep their order. */
import { connect } from 'node:net'
import { loadGenerator } from './dist.mjs'

/** @param {string} url @param {string} target path and query @returns {Promise<{ post(bodies: string[]): Promise<void>, close(): void }>} */
export async function poster(url, target) {
  const { ResponseReader } = await loadGenerator()
  const { hostname, port, host } = new URL(url)
  /** Posts that wait for their answers, oldest first: answers come in the order of the requests. @type {{ left: number, settle(why: string | null): void }[]} */
  const waiting = []
  const fail = (/** @type {string} */ why) => {
    for (const { settle } of waiting.splice(0)) settle(why)
  }
  const reader = new ResponseReader(({ status }) => {
    const [first] = waiting
    if (status >= 300) fail(`a request to publish was refused with ${status}`)
    else if (first !== undefined && --first.left === 0) waiting.shift()?.settle(null)
  })
  const open = () => {
    const opened = connect({ host: hostname, port: Number(port), noDelay: true })
    opened.on('data', (bytes) => reader.read(bytes))
    opened.on('error', () => {})
    opened.on('close', () => fail('the publishing connection was closed'))
    return opened
  }
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
        (body) =>
          `POST ${target} HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
      )
      socket.write(requests.join(''))
      await done
    },
    close: () => void socket.destroy(),
  }
}
