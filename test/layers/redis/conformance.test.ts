/** The contract, against real servers. */
import { afterAll, beforeAll, describe, test } from 'vitest'
import { redisLayer } from '../../../src/layers/redis/index.ts'
import { layerConformance } from '../../../src/testing/index.ts'
import { type RedisServer, startRedis } from '../../support/redis-server.ts'

let prefixes = 0

describe('one server', { concurrent: true }, () => {
  let server: RedisServer
  beforeAll(async () => {
    server = await startRedis()
  })
  afterAll(() => server.stop())

  const cases = layerConformance({
    create(count, { clock: _clock, ...setup }) {
      const prefix = `one-${prefixes++}`
      return {
        layers: Array.from({ length: count }, () => redisLayer({ url: server.url, prefix, ...setup })),
      }
    },
  })
  for (const { title, run } of cases) test(title, run)
})
