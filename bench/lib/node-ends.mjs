// @ts-check
/**
 * Ends of a way between two nodes: what publishes on one, and hands over what comes on the other. A layer, driven directly, or a bare client of the same
 * broker that does the least which brings the same to the same place.
 */
import { loadLayers } from './dist.mjs'

/**
 * @typedef {object} EndOptions
 * @property {'layer' | 'pub-sub' | 'django-pub-sub' | 'redis-stream' | 'redis-queue' | 'nats' | 'jet-stream'} kind
 * @property {string} url of the broker, as the configuration names it; `memory` for one node
 * @property {boolean} hasHistory whether the group keeps what is sent
 * @property {boolean} hears whether it gets messages; else it only sends
 */

/** `publish` resolves when the broker has accepted the message. @typedef {{ publish(text: string): Promise<unknown> }} End */

const GROUP = 'bench'
const QUEUE = `${GROUP}-queue`

/** As the rule `"history": {}` of a configuration has it. */
const HISTORY = { count: 100, ageMs: 300_000, bytes: 1024 * 1024 }

/** @param {EndOptions} options @param {(text: string) => void} got @returns {Promise<End>} */
export function openEnd(options, got) {
  return KINDS[options.kind](options, got)
}

/** @type {Record<EndOptions['kind'], (options: EndOptions, got: (text: string) => void) => Promise<End>>} */
const KINDS = {
  layer: openLayer,
  'pub-sub': openPubSub,
  'django-pub-sub': openDjangoPubSub,
  'redis-stream': openRedisStream,
  'redis-queue': openRedisQueue,
  nats: (options, got) => openNats(options, got, false),
  'jet-stream': (options, got) => openNats(options, got, true),
}

/** @param {EndOptions} options @param {(text: string) => void} got @returns {Promise<End>} */
async function openLayer({ url, hasHistory, hears }, got) {
  const { layerOf } = await loadLayers()
  const layer = await layerOf({ layer: url, journal: false, maxHistoryBytes: 256 * 1024 * 1024, groups: [] })
  let state = 'connecting'
  await layer.start({
    nodeId: Math.random().toString(36).slice(2).padEnd(12, '0').slice(0, 12),
    historyOf: () => (hasHistory ? HISTORY : null),
    sink: {
      deliver: (_group, { json }) => got(json),
      receive: () => true,
      status: (status) => {
        state = status.state
      },
      report(error) {
        throw error
      },
    },
  })
  if (url !== 'memory' && state !== 'ready') throw new Error(`the layer over ${url} is ${state}`)
  if (hears) await layer.groupAdd(GROUP)
  return { publish: (text) => layer.groupSend(GROUP, text) }
}

/**
 * `PUBLISH` and `SUBSCRIBE`, the text as it is.
 *
 * @param {EndOptions} options @param {(text: string) => void} got @returns {Promise<End>}
 */
async function openPubSub({ url, hears }, got) {
  const client = await redisAt(url)
  if (!hears) return { publish: (text) => client.publish(GROUP, text) }
  await listen(client, got)
  return ONLY_HEARS
}

/**
 * The same with the bytes that channels_redis sends and takes: msgpack, by the usual library.
 *
 * @param {EndOptions} options @param {(text: string) => void} got @returns {Promise<End>}
 */
async function openDjangoPubSub({ url, hears }, got) {
  const client = await redisAt(url)
  const { pack, unpack } = await msgpack()
  if (!hears) return { publish: (text) => client.publish(GROUP, pack(text)) }
  client.on('messageBuffer', (_channel, bytes) => got(unpack(bytes)))
  await client.subscribe(GROUP)
  return ONLY_HEARS
}

async function msgpack() {
  const { Decoder, Encoder } = await import('@msgpack/msgpack')
  const encoder = new Encoder()
  const decoder = new Decoder()
  return {
    pack(/** @type {string} */ text) {
      const { buffer, byteOffset, byteLength } = encoder.encode(JSON.parse(text))
      return Buffer.from(buffer, byteOffset, byteLength)
    },
    unpack: (/** @type {Uint8Array} */ bytes) => JSON.stringify(decoder.decode(bytes)),
  }
}

// What history is at the least: a number, a place in a stream that forgets the oldest, and the message with its number to all who listen.
const KEEP = `
local n = redis.call('INCR', KEYS[1])
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[2], n .. '-0', 'j', ARGV[1])
redis.call('PUBLISH', KEYS[3], n .. ' ' .. ARGV[1])
return n`

/** @param {EndOptions} options @param {(text: string) => void} got @returns {Promise<End>} */
async function openRedisStream({ url, hears }, got) {
  const client = await redisAt(url)
  if (hears) {
    await listen(client, (text) => got(text.slice(text.indexOf(' ') + 1)))
    return ONLY_HEARS
  }
  client.defineCommand('keep', { numberOfKeys: 3, lua: KEEP })
  return {
    publish: (/** @type {string} */ text) =>
      /** @type {any} */ (client).keep('bench-number', 'bench-stream', GROUP, text, HISTORY.count),
  }
}

// What a group of Django's core layer is at the least: a set of queues, to each of which a message is added, and a reader that waits for the next.
const FAN_OUT = `
for _, queue in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do redis.call('ZADD', queue, ARGV[1], ARGV[2]) end
return 1`

/** @param {EndOptions} options @param {(text: string) => void} got @returns {Promise<End>} */
async function openRedisQueue({ url, hears }, got) {
  const client = await redisAt(url)
  const { pack, unpack } = await msgpack()
  if (hears) {
    await client.del(QUEUE)
    await client.zadd(GROUP, 0, QUEUE)
    void readQueue(client, (bytes) => got(unpack(bytes)))
    return ONLY_HEARS
  }
  client.defineCommand('fanOut', { numberOfKeys: 1, lua: FAN_OUT })
  let score = 0
  return {
    publish: (/** @type {string} */ text) => /** @type {any} */ (client).fanOut(GROUP, ++score, pack(text)),
  }
}

/** Loaded when it is asked for: an end has one client library. @param {string} url */
async function redisAt(url) {
  const { Redis } = await import('ioredis')
  return new Redis(url)
}

/** @param {import('ioredis').Redis} client @param {(bytes: Buffer) => void} got */
async function readQueue(client, got) {
  for (;;) {
    const answer = await client.bzpopminBuffer(QUEUE, 0)
    if (answer !== null) got(/** @type {Buffer} */ (answer[1]))
  }
}

/** @param {import('ioredis').Redis} client @param {(text: string) => void} got */
async function listen(client, got) {
  client.on('message', (_channel, text) => got(text))
  await client.subscribe(GROUP)
}

/** Core NATS, or into a stream, which hands what it took to those who subscribe its subject. @param {EndOptions} options @param {(text: string) => void} got @param {boolean} isKept */
async function openNats({ url, hears }, got, isKept) {
  const { connect } = await import('@nats-io/transport-node')
  const connection = await connect({ servers: url })
  if (hears) {
    if (isKept) await addStream(connection)
    connection.subscribe(GROUP, { callback: (_error, message) => got(message.string()) })
    await connection.flush()
    return ONLY_HEARS
  }
  if (isKept) {
    return {
      async publish(/** @type {string} */ text) {
        const { error } = /** @type {any} */ (
          (await connection.request(GROUP, text, { timeout: 10_000 })).json()
        )
        if (error !== undefined) throw new Error(`the stream: ${error.description}`)
      },
    }
  }
  /** @type {Promise<void> | null} */
  let flushing = null
  return {
    publish(/** @type {string} */ text) {
      connection.publish(GROUP, text)
      // What core NATS has accepted only an answer to a later PING tells: one for all that is sent in a turn.
      flushing ??= Promise.resolve().then(() => {
        flushing = null
        return connection.flush()
      })
      return flushing
    },
  }
}

/** As the layer's stream: on disk, so many of each subject. @param {import('@nats-io/transport-node').NatsConnection} connection */
async function addStream(connection) {
  const stream = {
    ...{ name: GROUP, subjects: [GROUP], storage: 'file', retention: 'limits', discard: 'old' },
    ...{ max_msgs_per_subject: HISTORY.count, num_replicas: 1 },
  }
  const answer = await connection.request(`$JS.API.STREAM.CREATE.${GROUP}`, JSON.stringify(stream))
  const { error } = /** @type {any} */ (answer.json())
  if (error !== undefined) throw new Error(`the stream: ${error.description}`)
}

const ONLY_HEARS = {
  async publish() {
    throw new Error('this end does not send')
  },
}
