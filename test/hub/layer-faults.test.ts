/** A layer that refuses, hangs or comes late: what the hub promises then. The layer is a real one with faults put in. */
import { type ChannelLayer, createHub, memoryLayer } from 'groupcast'
import { expect, test } from 'vitest'
import { startTestHub } from '../support/hub-server.ts'
import { until, within } from '../support/until.ts'

/** The memory layer, with some methods replaced. */
function faulty(faults: (layer: ChannelLayer) => Partial<ChannelLayer>): ChannelLayer {
  const layer = memoryLayer()
  const replaced = faults(layer)
  return new Proxy(layer, {
    get(target, name) {
      const value = Reflect.get(replaced, name) ?? Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

test('groupSend rejects with the layer’s error, and nobody has got the message', async () => {
  let isDown = true
  const { hub, open } = await startTestHub({
    layer: faulty((layer) => ({
      groupSend: (group, json) =>
        isDown ? Promise.reject(new Error('broker is down')) : layer.groupSend(group, json),
    })),
  })
  const client = await open('websocket', '/events?group=a')
  await expect(hub.groupSend('a', { type: 'lost' })).rejects.toThrow('broker is down')
  isDown = false
  await hub.groupSend('a', { type: 'sent' })
  await until('one has come', () => client.messages.length === 1)
  expect(client.messages).toEqual(['{"type":"sent"}'])
})

test('a join that the layer refuses rejects, leaves no membership behind, and can be tried again', async () => {
  let isDown = true
  const { hub, open } = await startTestHub({
    layer: faulty((layer) => ({
      groupAdd: (group) => (isDown ? Promise.reject(new Error('broker is down')) : layer.groupAdd(group)),
    })),
  })
  const outcomes: unknown[] = []
  hub.consumer('/joins', {
    async receive(connection) {
      try {
        await connection.join('a')
        outcomes.push(connection.groups)
      } catch (error) {
        outcomes.push((error as Error).message, connection.groups)
      }
    },
  })
  const client = await open('websocket', '/joins')
  await client.send({ type: 'join' })
  await until('it was refused', () => outcomes.length === 2)
  expect(outcomes).toEqual(['broker is down', []])
  expect(hub.groups()).toEqual([])
  isDown = false
  await client.send({ type: 'join' })
  await until('it has joined', () => outcomes.length === 3)
  expect(outcomes[2]).toEqual(['a'])
})

test('adds and discards of a flapping group reach the layer in order, and the last one counts', async () => {
  const calls: string[] = []
  const { hub, open } = await startTestHub({
    layer: faulty((layer) => ({
      async groupAdd(group) {
        await new Promise((resolve) => setImmediate(resolve))
        calls.push('add')
        await layer.groupAdd(group)
      },
      async groupDiscard(group) {
        await new Promise((resolve) => setImmediate(resolve))
        calls.push('discard')
        await layer.groupDiscard(group)
      },
    })),
  })
  hub.consumer('/flaps', {
    async receive(connection) {
      const joins: Promise<void>[] = []
      for (let n = 0; n < 10; n++) {
        joins.push(connection.join('a'))
        await connection.leave('a')
      }
      joins.push(connection.join('a'))
      await Promise.all(joins)
      await hub.groupSend('a', { type: 'after' })
    },
  })
  const client = await open('websocket', '/flaps')
  await client.send({ type: 'go' })
  await until('the member has it', () => client.messages.length === 1)
  expect(calls.at(-1)).toBe('add')
  for (const [index, call] of calls.entries()) expect(call).toBe(index % 2 === 0 ? 'add' : 'discard')
})

test('what is asked of a layer that is still starting waits for it', async () => {
  let start = () => {}
  const starting = new Promise<void>((resolve) => {
    start = resolve
  })
  const { hub, open } = await startTestHub({
    layer: faulty((layer) => ({ start: (options) => starting.then(() => layer.start(options)) })),
  })
  const opening = open('sse', '/events?group=a')
  const sending = hub.groupSend('early', { type: 'x' })
  expect(hub.status).toMatchObject({ ready: false, layer: { state: 'connecting' } })
  start()
  expect(await within('the message', sending)).toEqual({ cursor: null })
  const client = await opening
  await hub.groupSend('a', { type: 'x' })
  await until('it has come', () => client.messages.length === 1)
  expect(hub.status.ready).toBe(true)
})

// What waited for the layer took a few microtasks to reach it after the start, and what was sent in these overtook it.
test('what is sent while the layer starts reaches it in the order of the calls', async () => {
  for (let gap = 0; gap < 12; gap++) {
    const sent: string[] = []
    const hub = createHub({
      layer: faulty((layer) => ({
        groupSend: (group, json) => {
          sent.push(json)
          return layer.groupSend(group, json)
        },
      })),
    })
    const all = [hub.groupSend('a', { type: 'first' })]
    for (let i = 0; i < gap; i++) await Promise.resolve()
    all.push(hub.groupSend('a', { type: 'second' }))
    await Promise.all(all)
    expect(sent, `${gap} microtasks between`).toEqual(['{"type":"first"}', '{"type":"second"}'])
    await hub.close()
  }
})

test('ready resolves when the layer has started, whenever it is asked', async () => {
  let start = () => {}
  const started = new Promise<void>((resolve) => {
    start = resolve
  })
  const { hub } = await startTestHub({
    layer: faulty((layer) => ({ start: (options) => started.then(() => layer.start(options)) })),
  })
  let isReady = false
  const ready = hub.ready().then(() => {
    isReady = true
  })
  await new Promise((resolve) => setImmediate(resolve))
  expect([isReady, hub.status.ready]).toEqual([false, false])
  start()
  await ready
  expect(hub.status.ready).toBe(true)
  await hub.ready()
  await hub.close()
  await expect(hub.ready()).rejects.toMatchObject({ code: 'hub-closed' })
})

test('a layer that cannot start is told to whoever waits for it, else to onError', async () => {
  const down = new Error('broker is down')
  const layer = () => faulty(() => ({ start: () => Promise.reject(down) }))
  const { hub, errors } = await startTestHub({ layer: layer() })
  await new Promise((resolve) => setImmediate(resolve))
  // Nobody had asked yet.
  expect(errors).toMatchObject([{ error: down, context: { where: 'layer' } }])
  await expect(hub.ready()).rejects.toBe(down)

  const heard: unknown[] = []
  const other = createHub({ layer: layer(), onError: (error) => void heard.push(error) })
  await expect(other.ready()).rejects.toBe(down)
  await expect(other.ready()).rejects.toBe(down)
  await new Promise((resolve) => setImmediate(resolve))
  expect(heard).toEqual([])
  expect(other.stats.errors).toBe(0)
  await other.close()
})
