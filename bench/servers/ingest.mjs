// @ts-check
/** What clients send, parsed as JSON and counted; the last of each block is answered. `extra.on`: `hub`, `hub-uws`, `ws-send` or `uws`. */
import { createServer } from 'node:http'
import { WebSocketServer } from 'ws'
import { loadLibrary, loadUwsBackend } from '../lib/dist.mjs'
import { loadUws } from '../lib/uws.mjs'
import { listen, serve } from './harness.mjs'

const ANSWER = '{"type":"answer"}'
let ingested = 0

/** @param {{ last?: unknown }} message @returns {boolean} whether it is to be answered */
function take(message) {
  ingested++
  return message.last === true
}

/** @type {Record<string, () => Promise<number>>} */
const SERVERS = {
  async hub() {
    const { createHub } = await loadLibrary()
    const server = createServer()
    consume(createHub({ rates: false })).attach(server)
    return listen(server)
  },
  async 'hub-uws'() {
    const { createHub } = await loadLibrary()
    const { uwsBackend } = await loadUwsBackend()
    const uws = await loadUws()
    const app = uws.App()
    consume(createHub({ backend: uwsBackend({ uws }), rates: false })).attach(app)
    return listenUws(uws, app)
  },
  async 'ws-send'() {
    const server = createServer()
    const webSockets = new WebSocketServer({ server, perMessageDeflate: false })
    webSockets.on('connection', (socket) => {
      socket.on('error', () => {})
      socket.on('message', (data) => {
        if (take(JSON.parse(data.toString()))) socket.send(ANSWER)
      })
    })
    return listen(server)
  },
  async uws() {
    const uws = await loadUws()
    const app = uws.App()
    app.ws('/*', {
      idleTimeout: 0,
      message(/** @type {any} */ socket, /** @type {ArrayBuffer} */ data) {
        if (take(JSON.parse(Buffer.from(data).toString()))) socket.send(ANSWER, false)
      },
    })
    return listenUws(uws, app)
  },
}

/** @param {any} hub */
function consume(hub) {
  hub.consumer('/events', {
    receive(/** @type {any} */ connection, /** @type {any} */ message) {
      if (take(message)) connection.send({ type: 'answer' })
    },
  })
  return hub
}

/** @param {any} uws @param {any} app @returns {Promise<number>} */
async function listenUws(uws, app) {
  const socket = await new Promise((resolve) => app.listen('127.0.0.1', 0, 1, resolve))
  return uws.us_socket_local_port(socket)
}

await serve(async ({ extra = {} }) => {
  const port = await SERVERS[String(extra.on)]?.()
  if (port === undefined) throw new Error(`There is no server ${extra.on}.`)
  return { port, ingested: () => ingested, turn() {} }
})
