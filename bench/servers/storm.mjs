// @ts-check
/** A hub of a storm: keeps history, in a journal where a directory is given or at a broker, and listens on the same port as before. */
import { createServer } from 'node:http'
import { loadApi, loadApiListener, loadLayers, loadLibrary } from '../lib/dist.mjs'
import { listen, serve } from './harness.mjs'

const HISTORY_BYTES = 64 * 1024 * 1024
const ANYONE = /** @type {const} */ ('anyone')

await serve(async ({ extra = {} }) => {
  const { createHub, groupsConsumer } = await loadLibrary()
  const { createApi } = await loadApi()
  const { apiListener } = await loadApiListener()
  const { layerOf } = await loadLayers()
  const {
    port = 0,
    directory: journal = /** @type {const} */ (false),
    layer = 'memory',
    count,
  } = /** @type {{ port?: number, directory?: string, layer?: string, count: number }} */ (extra)
  const history = { count, bytes: HISTORY_BYTES, ageSeconds: 300 }
  const rules = [{ match: '*', join: ANYONE, send: ANYONE, slow: /** @type {const} */ ('close'), history }]
  const onError = (/** @type {unknown} */ error) => {
    // What a kill may leave behind; it is cut, and nobody was told that it was accepted. And a broker that is killed on purpose.
    if (
      !/of a record that was not finished|layer-unavailable|cannot be used at the moment/.test(String(error))
    )
      console.error(error)
  }
  const hub = createHub({
    layer: await layerOf({ layer, journal, maxHistoryBytes: HISTORY_BYTES, groups: rules }),
    groups: [{ match: '*', history }],
    // An EventSource waits a second, and no longer.
    limits: { retrySpreadMs: 1 },
    onError,
  })
  hub.consumer('/events', groupsConsumer())
  const isApi = apiListener(createApi(hub, { version: 'storm', onError }))
  const server = createServer((request, response) => {
    if (!isApi(request, response)) response.writeHead(404).end()
  })
  hub.attach(server)
  return {
    port: await listen(server, port),
    backlogBytes: () => hub.stats.backlogBytes,
    turn: (messages) =>
      Promise.all(messages.map(({ group, text }) => hub.groupSend(group, JSON.parse(text)))),
  }
})
