// @ts-check
// Work that takes too long for a request: the request leaves a job in a channel, a worker takes it from there, and the answer
// goes to the connection of the client that asked. Everybody who is connected sees the progress.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { ChannelFullError, createHub, memoryLayer } from 'groupcast'

/**
 * @typedef {{
 *   hello: { connection: string }
 *   'thumbnail.make': { image: string, replyTo: string }
 *   'thumbnail.progress': { image: string, percent: number }
 *   'thumbnail.done': { image: string }
 *   'thumbnail.failed': { image: string }
 * }} Messages the fields of each message, by its type
 *
 * @typedef {import('groupcast').Hub<Messages>} Hub
 *
 * @typedef {(image: string) => AsyncIterable<number>} Render yields how much is done, in percent
 */

/** @param {{ port: number, render?: Render }} options the port of 127.0.0.1 to listen on (0 takes a free one), and the work */
export async function start({ port, render = pretendToRender }) {
  // A queue of ten: with more it is kinder to refuse a job at once than to take it and let its client wait.
  /** @type {Hub} */
  const hub = createHub({ layer: memoryLayer({ channelCapacity: { thumbnails: 10 } }) })

  /** @type {Map<string, string>} the channel of each connection, by the connection's id */
  const channels = new Map()
  hub.consumer('/events', {
    async connect(connection) {
      channels.set(connection.id, connection.channel)
      await connection.join('progress')
      connection.send({ type: 'hello', connection: connection.id })
    },
    disconnect(connection) {
      channels.delete(connection.id)
    },
  })

  const stop = new AbortController()
  // Here the worker shares the process. Over a channel layer that joins processes it would run in one of its own.
  const working = work(hub, render, stop.signal)

  const server = createServer((request, response) => {
    const [path, query] = (request.url ?? '/').split('?')
    if (request.method !== 'POST' || path !== '/thumbnails') {
      response.writeHead(404).end()
      return
    }
    const image = new URLSearchParams(query).get('image')
    // The id is a secret between the client and this hub: only who has it can have answers sent to that connection.
    const replyTo = channels.get(String(request.headers['groupcast-connection']))
    if (image === null || replyTo === undefined) {
      response.writeHead(400).end('Say which image, and who you are (Groupcast-Connection).\n')
      return
    }
    hub.send('thumbnails', { type: 'thumbnail.make', image, replyTo }).then(
      () => response.writeHead(202).end(),
      (error) => {
        // The job was not taken, and the client knows: it may ask again.
        if (error instanceof ChannelFullError) response.writeHead(503, { 'Retry-After': '1' }).end()
        else response.writeHead(500).end()
      },
    )
  })
  hub.attach(server)

  await once(server.listen(port, '127.0.0.1'), 'listening')
  const address = /** @type {import('node:net').AddressInfo} */ (server.address())
  return {
    url: `http://127.0.0.1:${address.port}`,
    async close() {
      // The worker ends its job and takes no other; then the hub, so that the last answer still has a way.
      stop.abort()
      await working
      await hub.close()
      server.close()
      server.closeAllConnections()
    },
  }
}

/**
 * A worker. Each job goes to exactly one: two of them share the work.
 *
 * @param {Hub} hub
 * @param {Render} render
 * @param {AbortSignal} signal
 */
async function work(hub, render, signal) {
  for await (const job of hub.receive('thumbnails', { signal })) {
    if (job.type !== 'thumbnail.make') continue
    // A job that fails must not end the loop: who would do the next one?
    await makeThumbnail(hub, render, job).catch((error) => console.error(`${job.image}:`, error))
  }
}

/**
 * @param {Hub} hub
 * @param {Render} render
 * @param {{ image: string, replyTo: string }} job
 */
async function makeThumbnail(hub, render, { image, replyTo }) {
  try {
    for await (const percent of render(image)) {
      await hub.groupSend('progress', { type: 'thumbnail.progress', image, percent })
    }
  } catch (error) {
    await hub.send(replyTo, { type: 'thumbnail.failed', image })
    throw error
  }
  // A client that has left meanwhile does not get it, and that is no error.
  await hub.send(replyTo, { type: 'thumbnail.done', image })
}

/** @type {Render} */
async function* pretendToRender() {
  for (const percent of [25, 50, 75, 100]) {
    await setTimeout(250)
    yield percent
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { url, close } = await start({ port: Number(process.env.PORT ?? 8000) })
  console.log(`Listen: curl -N ${url}/events`)
  console.log(
    `Ask:    curl -i -X POST '${url}/thumbnails?image=cat.png' -H 'Groupcast-Connection: <id from hello>'`,
  )
  process.once('SIGINT', close).once('SIGTERM', close)
}
