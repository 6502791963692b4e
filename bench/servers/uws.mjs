// @ts-check
/** Control: uWebSockets.js, `app.publish` to a topic for each group. */
import { loadUws } from '../lib/uws.mjs'
import { serve } from './harness.mjs'

await serve(async () => {
  const uws = await loadUws()
  const app = uws.App()
  app.ws('/*', {
    idleTimeout: 0,
    maxBackpressure: 64 * 1024 * 1024,
    upgrade(/** @type {any} */ response, /** @type {any} */ request, /** @type {any} */ context) {
      const groups = new URLSearchParams(request.getQuery()).getAll('group')
      const [key, protocol, extensions] = ['key', 'protocol', 'extensions'].map((name) =>
        request.getHeader(`sec-websocket-${name}`),
      )
      response.upgrade({ groups }, key, protocol, extensions, context)
    },
    open(/** @type {any} */ socket) {
      for (const group of socket.groups) socket.subscribe(group)
    },
  })
  const listener = await new Promise((resolve) => app.listen('127.0.0.1', 0, resolve))
  return {
    port: uws.us_socket_local_port(listener),
    turn(messages) {
      for (const { group, text } of messages) app.publish(group, Buffer.from(text), false)
    },
  }
})
