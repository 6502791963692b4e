import { getEventListeners } from 'node:events'
import { describe, expect, test, vi } from 'vitest'
import { ChannelFullError, GroupcastError, MisuseError } from '../../src/errors.ts'
import type { ChannelLayer, LayerSink } from '../../src/layers/layer.ts'
import {
  type MemoryBroker,
  type MemoryLayerOptions,
  memoryBroker,
  memoryLayer,
} from '../../src/layers/memory.ts'
import { layerConformance, manualClock } from '../../src/testing/index.ts'
import { wiredLayers } from './wired-layer.ts'

for (const nodes of [1, 2, 3]) {
  describe(`the contract, with nodes: ${nodes}`, () => {
    const cases = layerConformance({
      clock: 'manual',
      nodes,
      create(count, setup) {
        const broker = memoryBroker(setup)
        return { layers: Array.from({ length: count }, () => memoryLayer({ broker })) }
      },
    })
    for (const { title, run } of cases) test(title, run)
  })
}

// The suite with a clock that nobody can turn, as authors of other drivers use it.
describe('the contract, in real time', { concurrent: true }, () => {
  const cases = layerConformance({
    nodes: 2,
    create(count, setup) {
      const broker = memoryBroker(setup)
      return { layers: Array.from({ length: count }, () => memoryLayer({ broker })) }
    },
  })
  for (const { title, run } of cases.filter(({ obligation }) => [8, 16, 21].includes(obligation)))
    test(title, run)
})

// History does not lean on a layer that does everything in the caller's turn.
describe('the contract about history, at the end of a wire', { concurrent: true }, () => {
  const cases = layerConformance({
    clock: 'manual',
    create: (count, setup) => ({ layers: wiredLayers(count, setup) }),
  })
  for (const { title, run } of cases.filter(({ obligation }) => obligation >= 14)) test(title, run)
})

const historyOf = (group: string) => (group.startsWith('kept.') ? HISTORY : null)
const HISTORY = { count: 100, ageMs: 60_000, bytes: 1e6 }
const json = (n: number) => JSON.stringify({ type: 'test', n })

interface StartedNode {
  readonly layer: ChannelLayer
  readonly sink: LayerSink
  /** `group:n` for each publication, in order. */
  readonly log: string[]
}

async function startNode(
  broker: MemoryBroker,
  nodeId: string,
  sink: Partial<LayerSink> = {},
): Promise<StartedNode> {
  const log: string[] = []
  const whole: LayerSink = {
    deliver: (group, publication) => void log.push(`${group}:${JSON.parse(publication.json).n}`),
    receive: () => true,
    status: () => {},
    ...sink,
  }
  const layer = memoryLayer({ broker })
  await layer.start({ nodeId, sink: whole, historyOf })
  return { layer, sink: whole, log }
}

describe('groupSend', () => {
  test('delivers before it returns', async () => {
    const { layer, log } = await startNode(memoryBroker(), 'aaaaaaaaaaaa')
    await layer.groupAdd('g')
    const sending = layer.groupSend('g', json(1))
    expect(log).toEqual(['g:1'])
    await expect(sending).resolves.toBeNull()
  })

  test('shows one order to all nodes when sinks send while they are called', async () => {
    // Delivered at once, what a sink sends would reach the nodes after it before the publication that it
    // answers.
    const broker = memoryBroker()
    const nodes: StartedNode[] = []
    for (const index of [0, 1, 2]) {
      const node = await startNode(broker, `node${index}`, {
        deliver(group, publication) {
          const n = JSON.parse(publication.json).n as number
          node.log.push(`${group}:${n}`)
          if (n < 10) void node.layer.groupSend(group === 'a' ? 'b' : 'a', json(n * 10 + index))
        },
      })
      nodes.push(node)
      await node.layer.groupAdd('a')
      await node.layer.groupAdd('b')
    }
    await nodes[1]?.layer.groupSend('a', json(1))
    const expected = ['a:1', 'b:10', 'b:11', 'b:12']
    for (const { log } of nodes) expect(log).toEqual(expected)
  })

  test('leaves out a node that discards or closes while others are called', async () => {
    const broker = memoryBroker()
    const first = await startNode(broker, 'node0', {
      deliver: () => {
        void second.layer.groupDiscard('g')
        void third.layer.close()
      },
    })
    const second = await startNode(broker, 'node1')
    const third = await startNode(broker, 'node2')
    for (const { layer } of [first, second, third]) await layer.groupAdd('g')
    await first.layer.groupSend('g', json(1))
    expect([second.log, third.log]).toEqual([[], []])
  })

  test('reaches a node once that discards and adds the group while it is called', async () => {
    const node = await startNode(memoryBroker(), 'node0', {
      deliver: () => {
        node.log.push('called')
        void node.layer.groupDiscard('g')
        void node.layer.groupAdd('g')
      },
    })
    await node.layer.groupAdd('g')
    await node.layer.groupSend('g', json(1))
    expect(node.log).toEqual(['called'])
  })

  test('goes on after a sink threw', async () => {
    const broken = {
      deliver: vi.fn(fail),
      receive: vi.fn(fail),
      status: vi.fn(fail),
    }
    const broker = memoryBroker()
    const first = await startNode(broker, 'node0', broken)
    const second = await startNode(broker, 'node1')
    for (const { layer } of [first, second]) await layer.groupAdd('g')
    await second.layer.groupSend('g', json(1))
    await second.layer.groupSend('g', json(2))
    await second.layer.send(second.layer.channelOf('node0', 'x'), json(3))
    expect(second.log).toEqual(['g:1', 'g:2'])
    expect(broken.deliver).toHaveBeenCalledTimes(2)
    expect(broken.receive).toHaveBeenCalledTimes(1)
    expect(broken.status).toHaveBeenCalledTimes(1)
  })
})

describe('channels', () => {
  test('of a node are named after it', () => {
    expect(memoryLayer().channelOf('abc123', 'x-1')).toBe('specific.abc123!x-1')
  })

  test('of another node that are full are known to be', async () => {
    const broker = memoryBroker()
    const { layer } = await startNode(broker, 'node0')
    await startNode(broker, 'node1', { receive: () => false })
    await expect(layer.send('specific.node1!x', json(1))).rejects.toBeInstanceOf(ChannelFullError)
  })

  test('with a ! that belong to no node are queues', async () => {
    const { layer } = await startNode(memoryBroker(), 'node0')
    await layer.send('http.request!x', json(1))
    await expect(layer.receive('http.request!x')).resolves.toBe(json(1))
  })

  test('leave no listener on the signal of a receive', async () => {
    const { layer } = await startNode(memoryBroker(), 'node0')
    const { signal } = new AbortController()
    const waiting = layer.receive('a', signal)
    expect(getEventListeners(signal, 'abort')).toHaveLength(1)
    await layer.send('a', json(1))
    await waiting
    await layer.send('a', json(2))
    await layer.receive('a', signal)
    expect(getEventListeners(signal, 'abort')).toHaveLength(0)
  })
})

describe('the position', () => {
  test('is before what a node has yet to get, while sinks are called, and after what it has got', async () => {
    // It was the newest number of the broker: a node that began there missed what other sinks had sent and it had not got yet.
    const broker = memoryBroker()
    const seen: string[] = []
    const look = (where: string) => {
      for (const [name, { layer }] of Object.entries(nodes))
        seen.push(`${where} ${name} ${layer.position?.split('.')[1]}`)
    }
    const first = await startNode(broker, 'node0', {
      deliver(group) {
        if (group === 'kept.a') {
          void first.layer.groupSend('other', json(2))
          void first.layer.groupSend('kept.b', json(3))
        }
        look(`${group} at first`)
      },
    })
    const second = await startNode(broker, 'node1', { deliver: (group) => look(`${group} at second`) })
    const nodes = { first, second }
    for (const { layer } of [first, second]) {
      for (const group of ['kept.a', 'kept.b', 'other']) await layer.groupAdd(group)
    }
    await first.layer.groupSend('kept.b', json(0))
    expect(seen.splice(0)).toEqual([
      'kept.b at first first 1',
      'kept.b at first second 0',
      'kept.b at second first 1',
      'kept.b at second second 1',
    ])
    await first.layer.groupSend('kept.a', json(1))
    expect(seen).toEqual([
      ...[
        'kept.a at first first 2',
        'kept.a at first second 1',
        'kept.a at second first 2',
        'kept.a at second second 2',
      ],
      ...[
        'other at first first 2',
        'other at first second 2',
        'other at second first 2',
        'other at second second 2',
      ],
      ...[
        'kept.b at first first 3',
        'kept.b at first second 2',
        'kept.b at second first 3',
        'kept.b at second second 3',
      ],
    ])
  })

  test('of a layer that closed is that of a new epoch, and nothing of its history is left', async () => {
    const clock = manualClock()
    const layer = memoryLayer({ clock })
    const sink: LayerSink = { deliver() {}, receive: () => true, status() {} }
    await layer.start({ nodeId: 'node0', sink, historyOf })
    await layer.groupSend('kept.a', json(1))
    expect(clock.pending).toBe(1)
    await layer.close()
    expect(clock.pending).toBe(0)
    await expect(layer.replay({ after: null, groups: new Map() })).rejects.toMatchObject({
      code: 'hub-closed',
    })
  })
})

describe('capacities by channel', () => {
  const holds = async (options: MemoryLayerOptions, channel: string) => {
    const layer = memoryLayer(options)
    await layer.start({
      nodeId: 'node0',
      sink: { deliver() {}, receive: () => true, status() {} },
      historyOf,
    })
    for (let count = 0; ; count++) {
      try {
        await layer.send(channel, json(count))
      } catch {
        return count
      }
    }
  }

  test.each([
    ['one', 1],
    ['one.two', 3],
    ['a.log', 5],
    ['.log', 5],
    ['job.log', 2],
    ['job.7.print', 2],
    ['xjob.7', 3],
    ['abc', 4],
    ['axxbyyc', 4],
    ['ab', 3],
    ['acb', 3],
    ['__proto__', 3],
  ])('%s holds %i', async (channel, expected) => {
    const rules = [
      ['one', 1],
      ['job.*', 2],
      ['*.log', 5],
      ['a*b*c', 4],
      ['one', 99],
    ] as const
    expect(await holds({ capacity: 3, channelCapacity: rules }, channel)).toBe(expected)
    expect(await holds({ capacity: 3, channelCapacity: new Map([...rules].reverse()) }, channel)).toBe(
      channel === 'job.log' ? 5 : channel === 'one' ? 1 : expected,
    )
  })

  test('may be an object, as in a configuration file', async () => {
    expect(await holds({ channelCapacity: { 'job.*': 2, '*': 7 } }, 'job.1')).toBe(2)
    expect(await holds({ channelCapacity: { 'job.*': 2, '*': 7 } }, 'x')).toBe(7)
  })
})

describe('options', () => {
  test.each([
    [{ capacity: 0 }, 'capacity is 0: it must be a whole number from 1.'],
    [{ capacity: 1.5 }, 'capacity is 1.5'],
    [{ capacity: '7' }, 'capacity is "7"'],
    [{ capacity: Infinity }, 'capacity is Infinity'],
    [{ expiryMs: 0 }, 'expiryMs is 0: it must be a number of milliseconds above 0.'],
    [{ expiryMs: Number.NaN }, 'expiryMs is NaN'],
    [{ expiryMs: false }, 'expiryMs is false'],
    [{ clock: 5 }, 'clock is 5: it must be a Clock.'],
    [{ clock: { now: () => 0 } }, 'clock is {}: it must be a Clock.'],
    [{ maxHistoryBytes: 0 }, 'maxHistoryBytes is 0: it must be a whole number from 1.'],
    [{ maxHistoryBytes: Infinity }, 'maxHistoryBytes is Infinity'],
    [{ channelCapacity: 5 }, 'channelCapacity is 5: it must be pairs of a pattern and a capacity.'],
    [{ channelCapacity: null }, 'channelCapacity is null'],
    [{ channelCapacity: ['a'] }, 'channelCapacity is "a": it must be a pair of a pattern and a capacity.'],
    [{ channelCapacity: { 'a?': 5 } }, 'channelCapacity: "a?" is not a pattern: use 1–255 characters'],
    [{ channelCapacity: { a: 0 } }, 'channelCapacity["a"] is 0: it must be a whole number from 1.'],
    [
      { capactiy: 5 },
      'There is no option "capactiy". The options are capacity, channelCapacity, expiryMs, maxHistoryBytes, journal, clock.',
    ],
    [{ broker: {} }, 'broker is {}: it must be what memoryBroker() returns.'],
    [
      { broker: memoryBroker(), capacity: 5 },
      'capacity is given beside broker: a shared broker has its own.',
    ],
  ])('%o is refused', (options, text) => {
    const make = () => memoryLayer(options as MemoryLayerOptions)
    expect(make).toThrow(MisuseError)
    expect(make).toThrow(
      expect.objectContaining({ code: 'invalid-option', message: expect.stringContaining(text) }),
    )
  })

  test('that are undefined are as if they were absent', async () => {
    const absent = { capacity: undefined, channelCapacity: undefined, expiryMs: undefined, clock: undefined }
    expect(() => memoryLayer({ ...absent, broker: undefined } as unknown as MemoryLayerOptions)).not.toThrow()
    expect(() =>
      memoryLayer({ ...absent, broker: memoryBroker() } as unknown as MemoryLayerOptions),
    ).not.toThrow()
  })
})

describe('a layer', () => {
  const sink: LayerSink = { deliver() {}, receive: () => true, status() {} }

  test('says that it is ready when it starts, and can replay', async () => {
    const status = vi.fn()
    const { layer } = await startNode(memoryBroker(), 'node0', { status })
    expect(status.mock.calls).toEqual([[{ state: 'ready' }]])
    expect(layer).toMatchObject({ name: 'memory', capabilities: { replay: true } })
  })

  test('has its own broker unless one is given', async () => {
    const [one, other] = [memoryLayer(), memoryLayer()]
    await one.start({ nodeId: 'node0', sink, historyOf })
    await other.start({ nodeId: 'node0', sink, historyOf })
    await one.send('jobs', json(1))
    await other.send('jobs', json(2))
    await expect(other.receive('jobs')).resolves.toBe(json(2))
  })

  test('starts once, under an id of its own', async () => {
    const broker = memoryBroker()
    const { layer } = await startNode(broker, 'node0')
    await expect(layer.start({ nodeId: 'node1', sink, historyOf })).rejects.toThrow(MisuseError)
    await expect(memoryLayer({ broker }).start({ nodeId: 'node0', sink, historyOf })).rejects.toThrow(
      /"node0" is taken/,
    )
    await layer.close()
    await expect(layer.start({ nodeId: 'node0', sink, historyOf })).rejects.toMatchObject({
      code: 'hub-closed',
    })
    await expect(startNode(broker, 'node0')).resolves.toBeDefined()
  })

  test('does nothing before it is started, but may be closed', async () => {
    const layer = memoryLayer()
    await expect(layer.groupSend('g', json(1))).rejects.toThrow(MisuseError)
    await expect(layer.receive('jobs')).rejects.toThrow(MisuseError)
    await layer.close()
    await expect(layer.groupSend('g', json(1))).rejects.toThrow(GroupcastError)
  })

  test('leaves nothing in its broker after many adds, discards, messages and aborts', async () => {
    const clock = manualClock()
    const broker = memoryBroker({ clock })
    const { layer } = await startNode(broker, 'node0')
    const other = await startNode(broker, 'node1')
    for (let n = 0; n < 1000; n++) {
      await layer.groupAdd(`g.${n}`)
      await other.layer.groupAdd(`g.${n}`)
      await layer.groupSend(`g.${n}`, json(n))
      await layer.groupDiscard(`g.${n}`)
      await layer.send(`read.${n}`, json(n))
      await layer.receive(`read.${n}`)
      await layer.send(`forgotten.${n}`, json(n))
      await layer.receive(`quiet.${n}`, AbortSignal.abort()).catch(() => {})
    }
    expect(broker.size).toBe(2000)
    await other.layer.close()
    clock.advance(60_001)
    await layer.send('last', json(0))
    expect(broker.size).toBe(1)
    await layer.flush()
    expect(broker.size).toBe(0)
    expect(clock.pending).toBe(0)
  })
})

function fail(): never {
  throw new Error('this sink is broken')
}
