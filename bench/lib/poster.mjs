// @ts-check
/** Publishes to peers over HTTP: pipelined on one connection, so that messages keep their order. */
import { connect } from 'node:net'
import { loadGenerator } from './dist.mjs'

/** @param {string} url @param {string} target path and query @returns {Promise<{ post(bodies: string[]): Promise<void>, close(): void }>} */
export async function poster(url, target) {
  const { ResponseReader } = await loadGenerator()
  const { hostname, port, host } = new URL(url)
  let waiting = 0
  let refused = 0
  let settle = () => {}
  const reader = new ResponseReader(({ status }) => {
    if (status >= 300) refused++
    if (--waiting === 0) settle()
  })
  const open = () => {
    const opened = connect({ host: hostname, port: Number(port), noDelay: true })
    opened.on('data', (bytes) => reader.read(bytes))
    opened.on('error', () => {})
    return opened
  }
  let socket = open()
  return {
    async post(bodies) {
      // Servers close connections that were idle for long.
      if (socket.destroyed || socket.readableEnded) socket = open()
      const done = new Promise((resolve) => {
        settle = () => resolve(undefined)
      })
      waiting += bodies.length
      const requests = bodies.map(
        (body) =>
          `POST ${target} HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
      )
      socket.write(requests.join(''))
      await done
      if (refused > 0) throw new Error(`${refused} requests to publish were refused`)
    },
    close: () => void socket.destroy(),
  }
}
