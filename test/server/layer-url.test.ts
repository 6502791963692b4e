import { expect, test } from 'vitest'
import { LayerUrlError, parseLayerUrl } from '../../src/server/layer-url.ts'

test.each([
  ['redis://db', { driver: 'redis', servers: { url: 'redis://db' }, options: {} }],
  [
    'rediss://ann:p%40ss@db.example:6380/3?prefix=chat&capacity=5&expiryMs=1000&timeoutMs=200',
    {
      driver: 'redis',
      servers: { url: 'rediss://ann:p%40ss@db.example:6380/3' },
      options: { prefix: 'chat', capacity: 5, expiryMs: 1000, timeoutMs: 200 },
    },
  ],
  [
    'redis+cluster://:secret@a:7000,b:7001',
    {
      driver: 'redis',
      servers: { cluster: ['redis://:secret@a:7000', 'redis://:secret@b:7001'] },
      options: {},
    },
  ],
  [
    'rediss+cluster://a:7000?prefix=x',
    { driver: 'redis', servers: { cluster: ['rediss://a:7000'] }, options: { prefix: 'x' } },
  ],
  [
    'redis+sentinel://ann:p%40ss@s1:26379,s2/my%20primary/2',
    {
      driver: 'redis',
      servers: {
        sentinel: {
          ...{ name: 'my primary', sentinels: ['redis://s1:26379', 'redis://s2'] },
          ...{ username: 'ann', password: 'p@ss', database: 2 },
        },
      },
      options: {},
    },
  ],
  ['nats://a:4222,b', { driver: 'nats', servers: ['nats://a:4222', 'nats://b'], options: {} }],
  ['tls://a?replicas=3', { driver: 'nats', servers: ['tls://a'], options: { replicas: 3 } }],
  ['redis://[::1]:6379', { driver: 'redis', servers: { url: 'redis://[::1]:6379' }, options: {} }],
  ['django+redis://a:1/2,b?protocol=pubsub&prefix=asgi', null],
  [
    'django+redis://a:1,b/2?protocol=pubsub&prefix=asgi',
    {
      driver: 'django',
      servers: ['redis://a:1/2', 'redis://b/2'],
      options: { protocol: 'pubsub', prefix: 'asgi' },
    },
  ],
  ['django+rediss://a', { driver: 'django', servers: ['rediss://a'], options: {} }],
])('%s', (text, spec) => {
  if (spec === null) expect(() => parseLayerUrl(text)).toThrow(LayerUrlError)
  else expect(parseLayerUrl(text)).toEqual(spec)
})

test.each([
  ['', /"memory", or a URL/],
  ['redis', /"memory", or a URL/],
  ['http://db', /"memory", or a URL/],
  ['redis://', /"memory", or a URL/],
  ['redis://a b', /no host and port/],
  ['redis://a:99999', /no host and port/],
  ['redis://a,b', /several servers need redis\+cluster/],
  ['redis://a/x', /number of a database/],
  ['redis://a?prefx=1', /there is no option "prefx": it takes prefix, capacity/],
  ['redis://a?capacity=many', /capacity is "many": it must be a whole number from 1/],
  ['redis+cluster://a/0', /no databases/],
  ['redis+sentinel://a', /name of the primary/],
  ['nats://a/x', /no databases/],
  ['django+redis://a?protocol=json', /"core" or "pubsub"/],
])('%j is refused', (text, why) => {
  expect(() => parseLayerUrl(text)).toThrow(why)
})

test('what is wrong is said without the password', () => {
  for (const text of [
    'redis://ann:hidden@a/x',
    'redis://ann:hidden@a,b',
    'redis+sentinel://:hidden@a',
    'nats://x:hidden@a/1',
  ]) {
    const message = (() => {
      try {
        parseLayerUrl(text)
      } catch (error) {
        return String(error)
      }
      return ''
    })()
    expect(message).not.toBe('')
    expect(message).not.toContain('hidden')
  }
})
