/** A hub among the processes of a real Django project: Debian's Django, Channels, channels_redis and daphne. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { errorCodeOf } from '../../src/errors.ts'
import { type DjangoLayerOptions, djangoLayer } from '../../src/layers/django/index.ts'
import { startTestHub } from '../support/hub-server.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { until } from '../support/until.ts'
import { type DjangoServer, startDjango } from './django-server.ts'

let redis: RedisServer
let second: RedisServer

beforeAll(async () => {
  ;[redis, second] = await Promise.all([startRedis(), startRedis()])
})

afterAll(async () => {
  await Promise.all([redis.stop(), second.stop()])
})

type Rest = Omit<DjangoLayerOptions, 'hosts' | 'protocol'>

/** A hub on the layer, ready. */
async function startHub(protocol: 'core' | 'pubsub', hosts: readonly string[], rest: Rest = {}) {
  const started = await startTestHub({ layer: djangoLayer({ protocol, hosts, ...rest }) })
  await started.hub.ready()
  return started
}

/** What every client of a hub gets of what Django sends, and the reverse. */
const VALUES = {
  type: 'chat.message',
  text: 'grüße 日本 😀 \u0000 \u2028 "quoted"',
  whole: [0, -1, 127, 128, 65_536, 4_294_967_296, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER],
  fractions: [1.5, -0.1, 1e300],
  nothing: null,
  yes: true,
  no: false,
  nested: { list: [[], {}, { a: [1] }], __proto: 'x' },
  '': 'an empty key',
  long: 'x'.repeat(70_000),
  many: Object.fromEntries(Array.from({ length: 20 }, (_, n) => [`key${n}`, n])),
}

describe.each(['core', 'pubsub'] as const)('protocol %s', (protocol) => {
  let django: DjangoServer

  beforeAll(async () => {
    django = await startDjango({ protocol, config: { hosts: [redis.url] } })
  })

  afterAll(() => django.stop())

  test('what a Django view sends with group_send reaches WebSocket and SSE clients of the hub unchanged', async () => {
    const { open } = await startHub(protocol, [redis.url])
    const clients = await Promise.all(
      (['websocket', 'sse', 'websocket+envelope', 'ndjson'] as const).map((kind) =>
        open(kind, '/events?group=room-name'),
      ),
    )
    expect((await django.call('/notify/')).status).toBe(204)
    const text = '{"type":"chat.message","message":"Hello from Django"}'
    for (const client of clients) {
      await until('the message has come', () => client.messages.length > 0)
      expect(client.messages).toEqual([text])
    }
  })

  test('any JSON comes through from Django, and large messages', async () => {
    const { open } = await startHub(protocol, [redis.url])
    const [socket, events] = [
      await open('websocket', '/events?group=values'),
      await open('sse', '/events?group=values'),
    ]
    await django.call('/group-send/values/', VALUES)
    const large = { type: 'chat.message', text: 'ä'.repeat(500_000) }
    await django.call('/group-send/values/', large)
    for (const { messages } of [socket, events]) {
      await until('both messages have come', () => messages.length === 2)
      expect(messages.map((text) => JSON.parse(text))).toEqual([VALUES, large])
    }
  })

  test('bytes of Django come as base64', async () => {
    const { open } = await startHub(protocol, [redis.url])
    const { messages } = await open('websocket', '/events?group=bytes')
    await django.call('/group-send/bytes/', { type: 'chat.message', image: { $bytes: '//79' } })
    await until('the message has come', () => messages.length > 0)
    expect(JSON.parse(messages[0] as string)).toEqual({ type: 'chat.message', image: '//79' })
  })

  test('hub.groupSend reaches consumers of Django, in order and unchanged', async () => {
    const { hub } = await startHub(protocol, [redis.url])
    const members = [await django.join('from-hub'), await django.join('from-hub')]
    const other = await django.join('other')
    await hub.groupSend('from-hub', VALUES)
    await Promise.all(
      Array.from({ length: 90 }, (_, n) => hub.groupSend('from-hub', { type: 'chat.message', n })),
    )
    for (const member of members) {
      await until('all messages have come', () => member.messages.length === 91)
      const [first, ...rest] = member.messages.map((text) => JSON.parse(text))
      expect(first).toEqual(VALUES)
      expect(rest).toEqual(Array.from({ length: 90 }, (_, n) => ({ type: 'chat.message', n })))
      expect(member.isOpen).toBe(true)
    }
    expect(other.messages).toEqual([])
  })

  test('clients of Django and of two hubs talk in one group', async () => {
    const hubs = [await startHub(protocol, [redis.url]), await startHub(protocol, [redis.url])]
    const member = await django.join('lobby')
    const clients = await Promise.all(hubs.map(({ open }) => open('websocket', '/events?group=lobby')))
    member.send({ type: 'chat.message', from: 'django' })
    await until('it has come', () => clients.every(({ messages }) => messages.length === 1))
    await hubs[0]?.hub.groupSend('lobby', { type: 'chat.message', from: 'hub' })
    await until('it has come', () => clients.every(({ messages }) => messages.length === 2))
    await until('it has come to Django', () => member.messages.length === 2)
    for (const { messages } of [member, ...clients])
      expect(messages.map((text) => JSON.parse(text).from)).toEqual(['django', 'hub'])
  })

  test('hub.send reaches one consumer of Django, and Django one connection of the hub', async () => {
    const { hub } = await startHub(protocol, [redis.url])
    const [one, two] = [await django.join('direct'), await django.join('direct')]
    await hub.send(one.channel, { type: 'chat.message', to: 'one' })
    await until('it has come', () => one.messages.length === 1)
    expect(JSON.parse(one.messages[0] as string)).toEqual({ type: 'chat.message', to: 'one' })
    expect(two.messages).toEqual([])

    const channel = hub.newChannel()
    const reader = hub.receive(channel)[Symbol.asyncIterator]()
    const reading = reader.next()
    await django.call(`/send/${encodeURIComponent(channel)}/`, { type: 'chat.message', to: 'hub' })
    expect((await reading).value).toEqual({ type: 'chat.message', to: 'hub' })
  })

  test('messages that would end a consumer are refused with the reason, and Django hears nothing of them', async () => {
    const { hub } = await startHub(protocol, [redis.url])
    const member = await django.join('careful')
    for (const [message, why] of [
      [{ type: '_private' }, /its type "_private" starts with "_"/],
      [{ type: '.private' }, /starts with "\."/],
      [{ type: 'chat.message', n: 1e20 }, /whole number beyond 64 bits/],
      [{ type: 'chat.message', text: '\ud800' }, /half of a surrogate pair/],
      [{ type: 'chat.message', __asgi_channel__: 'x!y' }, /reserved/],
    ] as const) {
      const refusal = await hub.groupSend('careful', message).catch((error: unknown) => error)
      expect(errorCodeOf(refusal)).toBe('invalid-message')
      expect(String(refusal)).toMatch(why)
    }
    // What hubs ask of each other's connections: Django has no handler for it.
    if (protocol === 'core')
      await expect(hub.groupAdd('elsewhere', member.channel)).rejects.toMatchObject({
        code: 'invalid-message',
      })
    await expect(hub.groupSend('a:b', { type: 'x' })).rejects.toMatchObject({ code: 'invalid-name' })
    await hub.groupSend('careful', { type: 'chat.message', last: true })
    await until('the good one has come', () => member.messages.length > 0)
    expect(member.messages.map((text) => JSON.parse(text))).toEqual([{ type: 'chat.message', last: true }])
    expect(member.isOpen).toBe(true)
  })

  test('several hosts: all ways work, whichever host has the group', async () => {
    const hosts = [redis.url, second.url, `${redis.url}/1`, `${second.url}/1`]
    const sharded = await startDjango({ protocol, config: { hosts, prefix: 'sharded' } })
    try {
      const { hub, open } = await startHub(protocol, hosts, { prefix: 'sharded' })
      const groups = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']
      const { messages } = await open(
        'websocket',
        `/events?${groups.map((group) => `group=${group}`).join('&')}`,
      )
      for (const group of groups) await sharded.call(`/group-send/${group}/`, { type: 'chat.message', group })
      await until('all have come', () => messages.length === groups.length)
      expect(messages.map((text) => JSON.parse(text).group).sort()).toEqual(groups)
      for (const group of groups) {
        const member = await sharded.join(group)
        await hub.groupSend(group, { type: 'chat.message', group })
        await until('it has come', () => member.messages.length === 1)
        // Django's own send() would ask another host than its consumers do.
        await hub.send(member.channel, { type: 'chat.message', direct: true })
        await until('it has come', () => member.messages.length === 2)
      }
    } finally {
      await sharded.stop()
    }
  })

  test('bad messages on the wire are reported once and harm nobody', async () => {
    const { hub, open, errors } = await startHub(protocol, [redis.url])
    const { messages } = await open('websocket', '/events?group=poison')
    const channel = hub.newChannel()
    const bad = async (bytes: string) => {
      if (protocol === 'pubsub') await redis.command('PUBLISH', 'asgi__group__poison', bytes)
      else await redis.command('ZADD', `asgi${channel.slice(0, channel.indexOf('!') + 1)}`, '1', bytes)
    }
    for (let n = 0; n < 5; n++) await bad(`no msgpack ${n} `)
    await hub.groupSend('poison', { type: 'chat.message', good: true })
    await until('the good one has come', () => messages.length > 0)
    await until('it was reported', () => errors.length > 0)
    expect(errors.map(({ error }) => errorCodeOf(error))).toEqual(['invalid-message'])
    expect(String(errors[0]?.error)).toMatch(/came from Redis was dropped/)
  })
})

describe('workers, with protocol core', () => {
  let django: DjangoServer

  beforeAll(async () => {
    django = await startDjango({
      protocol: 'core',
      config: { hosts: [redis.url], capacity: 5, prefix: 'work' },
    })
  })

  afterAll(() => django.stop())

  test('a hub reads what Django sends to a channel, and Django what a hub sends', async () => {
    const { hub } = await startHub('core', [redis.url], { prefix: 'work', capacity: 5 })
    for (const n of [1, 2, 3]) await django.call('/send/thumbnails/', { type: 'work', n })
    const got: unknown[] = []
    for await (const message of hub.receive('thumbnails')) {
      got.push(message)
      if (got.length === 3) break
    }
    expect(got).toEqual([1, 2, 3].map((n) => ({ type: 'work', n })))
    for (const n of [4, 5]) await hub.send('results', { type: 'work', n })
    for (const n of [4, 5])
      expect(JSON.parse((await django.call('/receive/results/')).body)).toEqual({ type: 'work', n })
  })

  test('a channel is full for both when it is full for one', async () => {
    const { hub } = await startHub('core', [redis.url], { prefix: 'work', capacity: 5 })
    for (let n = 0; n < 5; n++) await hub.send('full', { type: 'work', n })
    await expect(hub.send('full', { type: 'work' })).rejects.toMatchObject({ code: 'channel-full' })
    expect((await django.call('/send/full/', { type: 'work' })).status).toBe(503)
  })

  test('a burst of Django within a queue of capacity 5 fills it unless its channel_capacity names hubs', async () => {
    const config = {
      hosts: [redis.url],
      capacity: 5,
      prefix: 'work',
      channel_capacity: { 'groupcast.*': 10_000 },
    }
    const roomy = await startDjango({ protocol: 'core', config })
    try {
      const { open } = await startHub('core', [redis.url], { prefix: 'work' })
      const { messages } = await open('websocket', '/events?group=burst')
      await roomy.call('/group-send/burst/300/', {})
      await until('all have come', () => messages.length === 300)
      expect(messages.map((text) => JSON.parse(text).n)).toEqual(Array.from({ length: 300 }, (_, n) => n))
    } finally {
      await roomy.stop()
    }
  })

  test('a consumer that is full loses what is beyond, and the hub is told', async () => {
    const { hub, errors } = await startHub('core', [redis.url], { prefix: 'work', capacity: 5 })
    await redis.command('ZADD', 'work:group:stuck', String(Date.now() / 1000), 'specific.nobody!x')
    for (let n = 0; n < 8; n++) await hub.groupSend('stuck', { type: 'work', n })
    expect(await redis.command('ZCARD', 'workspecific.nobody!')).toBe('5')
    expect(errors.map(({ error }) => errorCodeOf(error))).toEqual(['channel-full'])
  })
})

test('with keys, the core protocol is encrypted both ways, and keys are changed without a gap', async () => {
  const config = { hosts: [redis.url], prefix: 'secret', symmetric_encryption_keys: ['new key', 'old key'] }
  const django = await startDjango({ protocol: 'core', config })
  try {
    // This hub has not heard of the new key as the first one yet.
    const { hub, open } = await startHub('core', [redis.url], {
      prefix: 'secret',
      encryption: ['old key', 'new key'],
    })
    const { messages } = await open('sse', '/events?group=vault')
    const member = await django.join('vault')
    await django.call('/group-send/vault/', VALUES)
    await until('it has come', () => messages.length === 1 && member.messages.length === 1)
    expect(JSON.parse(messages[0] as string)).toEqual(VALUES)
    await hub.groupSend('vault', VALUES)
    await until('it has come', () => messages.length === 2 && member.messages.length === 2)
    expect(JSON.parse(member.messages[1] as string)).toEqual(VALUES)

    const plain = await startHub('core', [redis.url], { prefix: 'secret' })
    const deaf = await plain.open('websocket', '/events?group=vault')
    await django.call('/group-send/vault/', { type: 'chat.message' })
    await until('it was reported', () => plain.errors.length > 0)
    expect(errorCodeOf(plain.errors[0]?.error)).toBe('invalid-message')
    expect(deaf.messages).toEqual([])
  } finally {
    await django.stop()
  }
})
