/** What Redis refuses, and options that cannot be: a typed error or a status, never silence. */
import { describe, expect, onTestFinished, test } from 'vitest'
import { errorCodeOf } from '../../../src/errors.ts'
import { type DjangoLayerOptions, djangoLayer } from '../../../src/layers/django/index.ts'
import { type RedisServerOptions, startRedis } from '../../support/redis-server.ts'
import { until } from '../../support/until.ts'
import { json, startNode } from './node.ts'

async function startServer(options: RedisServerOptions = {}) {
  const server = await startRedis(options)
  onTestFinished(() => server.stop())
  return server
}

const failure = async (promise: Promise<unknown>) => {
  const error: unknown = await promise.then(
    (value) => expect.fail(`It resolved with ${value}`),
    (reason) => reason,
  )
  return { code: errorCodeOf(error), text: String(error) }
}

describe.each(['core', 'pubsub'] as const)('%s', (protocol) => {
  test('a wrong password is said by status and report, is not shown, and mended without a restart', async () => {
    const server = await startServer({ args: ['--requirepass', 'right'] })
    const { statuses, reports, layer, ready } = await startNode({
      protocol,
      hosts: [server.url.replace('//', '//:wrong-one@')],
    })
    expect(statuses.at(-1)).toMatchObject({
      state: 'connecting',
      reason: expect.stringContaining('WRONGPASS'),
    })
    expect(reports.map(errorCodeOf)).toEqual(['layer-unavailable'])
    expect(JSON.stringify([statuses, String(reports)])).not.toContain('wrong-one')
    expect(await failure(layer.groupSend('a', json(1)))).toMatchObject({ code: 'layer-unavailable' })
    await server.command('-a', 'right', 'CONFIG', 'SET', 'requirepass', 'wrong-one')
    await ready()
  })

  test('a user who may not read is never ready, and hears why', async () => {
    const server = await startServer()
    await server.command(
      'ACL',
      'SETUSER',
      'few',
      'on',
      '>secret',
      '+@all',
      '-bzpopmin',
      '-psubscribe',
      '~*',
      '&*',
    )
    const { statuses, reports } = await startNode({
      protocol,
      hosts: [server.url.replace('//', '//few:secret@')],
    })
    expect(statuses.map(({ state }) => state)).not.toContain('ready')
    expect(statuses.at(-1)?.reason).toMatch(/NOPERM/)
    expect(reports).toHaveLength(1)
  })

  test('a user who may not send hears of it where somebody waits, and the session goes on', async () => {
    const server = await startServer()
    await server.command(
      'ACL',
      'SETUSER',
      'few',
      'on',
      '>secret',
      '+@all',
      '-evalsha',
      '-publish',
      '~*',
      '&*',
    )
    const node = await startNode({ protocol, hosts: [server.url.replace('//', '//few:secret@')] })
    const { layer, statuses, reports, numbers } = node
    await layer.groupAdd('g')
    expect(await failure(layer.groupSend('g', json(1)))).toMatchObject({
      code: 'layer-unavailable',
      text: expect.stringMatching(/NOPERM/),
    })
    expect(statuses.at(-1)?.state).toBe('ready')
    const good = await startNode({ protocol, hosts: [server.url] })
    await good.layer.groupSend('g', json(2))
    await until('it has come', () => numbers.length === 1)
    expect(reports).toEqual([])
  })

  // A replica takes PUBLISH and hands it to its own subscribers: over pub/sub the layer was ready, and all was sent, and nobody on the primary got any of it.
  test('a replica: nothing is sent, it says so, and the layer is back when it is the primary again', async () => {
    const server = await startServer()
    const node = await startNode({ protocol, hosts: [server.url] })
    const { layer, statuses, reports, numbers, ready } = node
    await layer.groupAdd('g')
    await server.command('REPLICAOF', '127.0.0.1', '1')
    await until('it says why', () => /READONLY|UNBLOCKED/.test(statuses.at(-1)?.reason ?? ''))
    expect(await failure(layer.groupSend('g', json(1)))).toMatchObject({ code: 'layer-unavailable' })
    await until('it is tried again', () => /READONLY.*a failover/.test(statuses.at(-1)?.reason ?? ''))
    const other = await startNode({ protocol, hosts: [server.url] })
    expect(other.statuses.at(-1)).toMatchObject({
      state: 'connecting',
      reason: expect.stringMatching(/replica, not a primary/),
    })
    await server.command('REPLICAOF', 'NO', 'ONE')
    await ready()
    await layer.groupSend('g', json(2))
    await until('it has come', () => numbers.length > 0)
    expect(numbers).toEqual([2])
    expect(reports.length).toBeGreaterThan(0)
  })
})

test('core: what is under way when the server becomes a replica is not taken for sent', async () => {
  const server = await startServer()
  const { layer } = await startNode({ protocol: 'core', hosts: [server.url] })
  await layer.groupAdd('g')
  await server.command('REPLICAOF', '127.0.0.1', '1')
  expect(await failure(layer.groupSend('g', json(1)))).toMatchObject({
    code: expect.stringMatching(/layer-(unavailable|timeout)/),
    text: expect.stringMatching(/READONLY|UNBLOCKED|lost|replica/),
  })
})

test('no memory: what is sent is refused, and goes on when there is some', async () => {
  const server = await startServer()
  const { layer, numbers } = await startNode({ protocol: 'core', hosts: [server.url] })
  await layer.groupAdd('g')
  await server.command('CONFIG', 'SET', 'maxmemory', '1')
  expect(await failure(layer.groupSend('g', json(1)))).toMatchObject({
    code: 'layer-unavailable',
    text: expect.stringMatching(/OOM.*raise maxmemory/),
  })
  await server.command('CONFIG', 'SET', 'maxmemory', '0')
  await layer.groupSend('g', json(2))
  await until('it has come', () => numbers.length > 0)
  expect(numbers).toEqual([2])
})

describe('options', () => {
  const make = (options: unknown) => () => djangoLayer(options as DjangoLayerOptions)

  test.each([
    [{}, /protocol is undefined: it must be 'core' or 'pubsub'/],
    [{ protocol: 'core', host: 'x' }, /no option "host"/],
    [{ protocol: 'core', hosts: 'redis://localhost' }, /a list even of one/],
    [{ protocol: 'core', hosts: [] }, /a list even of one/],
    [{ protocol: 'core', hosts: ['http://localhost'] }, /hosts that cannot be used/],
    [{ protocol: 'core', hosts: [7] }, /hosts that cannot be used/],
    [{ protocol: 'core', prefix: 7 }, /prefix is 7/],
    [{ protocol: 'core', format: 'yaml' }, /'msgpack' or 'json'/],
    [{ protocol: 'core', capacity: 0 }, /capacity is 0/],
    [{ protocol: 'core', channelCapacity: { a: 0 } }, /channelCapacity\["a"\] is 0/],
    [{ protocol: 'core', expiryMs: -1 }, /expiryMs is -1/],
    [{ protocol: 'core', groupExpiryMs: 0.5 }, /groupExpiryMs is 0.5/],
    [{ protocol: 'core', timeoutMs: Number.NaN }, /timeoutMs is NaN/],
    [{ protocol: 'core', queues: 65 }, /queues is 65/],
    [{ protocol: 'core', randomPrefixLength: -1 }, /randomPrefixLength is -1/],
    [{ protocol: 'core', strictNames: false }, /strictNames is false/],
    [{ protocol: 'core', clock: 7 }, /clock is 7/],
    [{ protocol: 'core', encryption: 'key' }, /must be a list of texts/],
    [{ protocol: 'core', encryption: [] }, /must be a list of texts/],
    [{ protocol: 'core', encryption: ['good', 7] }, /must be a list of texts/],
  ])('%j', (options, why) => {
    expect(make(options)).toThrow(why)
    expect(make(options)).toThrow(expect.objectContaining({ code: 'invalid-option' }))
  })

  test('secrets are in no text', () => {
    for (const options of [
      { protocol: 'core', hosts: ['http://user:secret@host'] },
      { protocol: 'core', encryption: ['secret', 7] },
    ]) {
      expect(make(options)).toThrow(
        expect.objectContaining({ message: expect.not.stringContaining('secret') }),
      )
    }
  })

  test('names of Django’s pub/sub layer, which checks none', async () => {
    const server = await startServer()
    const options = { protocol: 'pubsub', hosts: [server.url], strictNames: false } as const
    const [sender, reader] = [await startNode(options), await startNode(options)]
    await reader.layer.groupAdd('room:1')
    await sender.layer.groupSend('room:1', json(1))
    await until('it has come', () => reader.numbers.length === 1)
    await expect(sender.layer.groupSend('room 1', json(1))).rejects.toMatchObject({ code: 'invalid-name' })
    await expect(sender.layer.send('asgi__group__room:1', json(1))).rejects.toMatchObject({
      code: 'invalid-name',
    })
  })
})

test('a layer is started once, by one hub', async () => {
  const server = await startServer()
  const { layer } = await startNode({ protocol: 'core', hosts: [server.url] })
  const again = layer.start({ nodeId: 'x', historyOf: () => null, sink: {} as never })
  await expect(again).rejects.toMatchObject({ code: 'invalid-option' })
  await expect(djangoLayer({ protocol: 'core' }).groupSend('a', json(1))).rejects.toMatchObject({
    code: 'invalid-option',
  })
})
