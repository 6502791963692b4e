import { afterAll, beforeAll, describe, test } from 'vitest'
import type { DjangoLayerOptions } from '../../../src/layers/django/index.ts'
import { layerConformance } from '../../../src/testing/index.ts'
import { type RedisServer, startRedis } from '../../support/redis-server.ts'
import { djangoNodes, freshPrefix } from './redis.ts'

let server: RedisServer

beforeAll(async () => {
  server = await startRedis()
})

afterAll(() => server.stop())

const KINDS: readonly (readonly [string, DjangoLayerOptions])[] = [
  ['core', { protocol: 'core' }],
  ['pubsub', { protocol: 'pubsub' }],
  [
    'core, one queue, JSON, encrypted',
    { protocol: 'core', queues: 1, format: 'json', encryption: ['a-test-key'], randomPrefixLength: 4 },
  ],
  ['pubsub, encrypted', { protocol: 'pubsub', encryption: ['a-test-key'] }],
]

describe.each(KINDS)('%s', (_, options) => {
  const cases = layerConformance({
    async create(count, setup) {
      const prefix = freshPrefix()
      const { layers, clients } = djangoNodes(count, { ...options, prefix, hosts: [server.url] }, setup)
      return {
        layers,
        clients: () => clients.map((client) => ({ isGiven: true, isOpen: client.status === 'ready' })),
        dispose: () => {
          for (const client of clients) client.disconnect()
        },
      }
    },
  })
  for (const { title, run } of cases) test(title, run)
})
