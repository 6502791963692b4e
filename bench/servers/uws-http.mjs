// @ts-check
/** Control: a handler on uWebSockets.js that reads a body, parses its JSON, and answers with JSON. */
import { loadUws } from '../lib/uws.mjs'
import { serve } from './harness.mjs'

await serve(async () => {
  const uws = await loadUws()
  const app = uws.App()
  app.post('/*', (/** @type {any} */ response) => {
    let body = ''
    response.onAborted(() => {})
    response.onData((/** @type {ArrayBuffer} */ chunk, /** @type {boolean} */ isLast) => {
      body += Buffer.from(chunk).toString()
      if (!isLast) return
      const { type } = JSON.parse(body)
      response.cork(() => {
        response.writeStatus(typeof type === 'string' ? '200 OK' : '422 Unprocessable Entity')
        response.writeHeader('content-type', 'application/json')
        response.end(JSON.stringify({ cursor: null }))
      })
    })
  })
  const listener = await new Promise((resolve) => app.listen('127.0.0.1', 0, 1, resolve))
  return { port: uws.us_socket_local_port(listener), turn() {} }
})
