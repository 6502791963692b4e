// @ts-check
/** Control: SSE on uWebSockets.js without a hub. One corked `write` for each message and connection. */
import { loadUws } from '../lib/uws.mjs'
import { Members, serve } from './harness.mjs'

await serve(async () => {
  const uws = await loadUws()
  const app = uws.App()
  const members = /** @type {Members<any>} */ (new Members())
  app.get('/*', (/** @type {any} */ response, /** @type {any} */ request) => {
    members.join(`/?${request.getQuery()}`, response)
    response.onAborted(() => {})
    response.cork(() => {
      response.writeStatus('200 OK')
      response.writeHeader('content-type', 'text/event-stream')
      response.write(':\n\n')
    })
  })
  const listener = await new Promise((resolve) => app.listen('127.0.0.1', 0, 1, resolve))
  return {
    port: uws.us_socket_local_port(listener),
    turn(messages) {
      for (const { group, text } of messages) {
        const bytes = Buffer.from(`data: ${text}\n\n`)
        for (const response of members.of(group)) response.cork(() => response.write(bytes))
      }
    },
  }
})
