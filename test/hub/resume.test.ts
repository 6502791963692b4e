/** Coming back: what a client missed, in order, once, or a reset. Against a plain list of what was published, without sockets. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createHub } from '../../src/create-hub.ts'
import { Refusal } from '../../src/errors.ts'
import { groupsConsumer } from '../../src/groups-consumer.ts'
import type { HistoryOptions } from '../../src/history.ts'
import { memoryLayer } from '../../src/layers/memory.ts'
import { type Envelope, type FakeLink, fakeBackend, settled } from '../support/fake-backend.ts'

const GROUPS = ['kept.a', 'kept.b', 'kept.c', 'loose'] as const

function setup(history: HistoryOptions = { count: 1000 }) {
  let n = 0
  const { backend, connect } = fakeBackend(() => n)
  const layer = memoryLayer()
  const errors: unknown[] = []
  const hub = createHub({
    backend,
    layer,
    groups: [{ match: 'kept.*', history }],
    limits: { maxBacklogBytes: 1024 * 1024 * 1024 },
    onError: (error) => errors.push(error),
  })
  hub.consumer('/events', groupsConsumer())
  hub.attach({})
  return {
    hub,
    layer,
    errors,
    connect,
    async publish(group: string, more: object = {}) {
      const message = { type: 'n', n: n++, ...more }
      const { cursor } = await hub.groupSend(group, message)
      return { n: message.n, cursor }
    },
  }
}

const query = (groups: readonly string[], cursor: string | null = null, history = 0) =>
  `/events?${groups.map((group) => `group=${group}`).join('&')}${cursor === null ? '' : `&cursor=${cursor}`}${history === 0 ? '' : `&history=${history}`}`

const numbers = (link: FakeLink, group?: string) =>
  link.envelopes.flatMap((envelope) =>
    envelope.message === undefined || (group !== undefined && envelope.group !== group)
      ? []
      : [envelope.message.n],
  )
/** The positions of all cursors that came, but of `open` and of resets. */
const cursorsOf = (link: FakeLink) =>
  link.envelopes.flatMap(({ cursor }) => (cursor === undefined ? [] : [Number(cursor.split('.')[1])]))
const resets = (link: FakeLink) => link.envelopes.flatMap(({ reset }) => (reset === undefined ? [] : [reset]))

describe('a client that comes back', () => {
  test('gets what it missed of all its groups, in the order in which it was sent, then what is live', async () => {
    const { connect, publish } = setup()
    const first = await connect(query(['kept.a', 'kept.b']))
    const { cursor } = await publish('kept.a')
    await settled()
    first.cut()
    for (const group of ['kept.b', 'kept.a', 'kept.c', 'kept.b']) await publish(group)
    const second = await connect(query(['kept.a', 'kept.b'], cursor))
    await publish('kept.a')
    await settled()
    expect(numbers(first)).toEqual([0])
    expect(numbers(second)).toEqual([1, 2, 4, 5])
    expect(resets(second)).toEqual([])
  })

  test('resumes from the cursor of `open` when it was cut before anything came', async () => {
    const { connect, publish } = setup()
    const first = await connect(query(['kept.a']))
    first.cut()
    await publish('kept.a')
    const second = await connect(query(['kept.a'], first.envelopes[0]?.open?.cursor ?? ''))
    await settled()
    expect(numbers(second)).toEqual([0])
  })

  // A client that joined two groups got the cursor of the moment when it knocked. The layer took its time for each group, and what the
  // second got meanwhile was neither held for it nor replayed: the cursor of the next message then passed over it for good.
  test('misses nothing of what came after the cursor of `open`, however long joining takes', async () => {
    const { connect, layer, publish } = setup()
    const add = layer.groupAdd.bind(layer)
    layer.groupAdd = async (group) => {
      await publish('kept.a')
      await publish('kept.b')
      await add(group)
    }
    const link = await connect(query(['kept.a', 'kept.b']))
    await publish('kept.b')
    await settled()
    expect(link.envelopes[0]?.open?.cursor).toMatch(/\.0$/)
    expect(numbers(link)).toEqual([0, 1, 2, 3, 4])
    expect(resets(link)).toEqual([])
  })

  // The same with history: what was trimmed between the two looks at it was a hole that nobody announced.
  test('misses nothing when what it joins with is trimmed meanwhile', async () => {
    const { connect, layer, publish } = setup({ count: 2 })
    const replay = layer.replay.bind(layer)
    layer.replay = async (request) => {
      const replayed = await replay(request)
      if (request.after === null) for (let i = 0; i < 4; i++) await publish('kept.a')
      return replayed
    }
    await publish('kept.a')
    const link = await connect(query(['kept.a'], null, 2))
    await publish('kept.a')
    await settled()
    expect(resets(link)).toEqual([])
    expect(numbers(link)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9])
  })

  // Symptom: `open` without a cursor, and a hole after the next cut. The client came while the layer was starting (a journal is read then),
  // and where it was when it knocked was taken before that was known.
  test('has a cursor also when it comes before the layer can be used', async () => {
    const { backend, connect } = fakeBackend()
    const inner = memoryLayer()
    let start = () => {}
    let isStarted = false
    const layer = new Proxy(inner, {
      get(target, name) {
        if (name === 'position' && !isStarted) return null
        if (name === 'start')
          return async (given: Parameters<typeof inner.start>[0]) => {
            await new Promise<void>((resolve) => {
              start = resolve
            })
            await target.start(given)
            isStarted = true
          }
        const value: unknown = Reflect.get(target, name, target)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
    const hub = createHub({ backend, layer, groups: [{ match: 'kept.*', history: {} }] })
    hub.consumer('/events', groupsConsumer())
    hub.attach({})
    const coming = connect(query(['kept.a']))
    await settled()
    start()
    const link = await coming
    const { cursor } = link.envelopes[0]?.open ?? {}
    expect(cursor).toMatch(/\.0$/)
    link.cut()
    await hub.groupSend('kept.a', { type: 'n', n: 0 })
    const again = await connect(query(['kept.a'], cursor))
    await settled()
    expect(numbers(again)).toEqual([0])
  })

  test.each([
    ['header over query', { 'last-event-id': 'CURSOR' }, '&cursor=garbage&lastEventId=garbage'],
    ['cursor', {}, '&cursor=CURSOR'],
    ['lastEventId', {}, '&lastEventId=CURSOR'],
    ['an empty header is none', { 'last-event-id': '' }, '&cursor=CURSOR'],
  ])('names its cursor by %s', async (_what, headers, more) => {
    const { connect, publish } = setup()
    const { cursor } = await publish('kept.a')
    await publish('kept.a')
    const filled = Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [name, value.replace('CURSOR', String(cursor))]),
    )
    const link = await connect(query(['kept.a']) + more.replace('CURSOR', String(cursor)), filled)
    await settled()
    expect(numbers(link)).toEqual([1])
  })

  test.each(['garbage', '__proto__', 'a.b.c', '0.0', '%F0%9F%98%80', 'x'.repeat(5_000)])(
    'is told to reset when its cursor is %.20s',
    async (cursor) => {
      const { connect, publish } = setup()
      await publish('kept.a')
      const link = await connect(query(['kept.a', 'loose'], cursor))
      await publish('kept.a')
      await settled()
      const [{ groups, cursor: at } = { groups: [], cursor: '' }] = resets(link)
      expect(groups).toEqual(['kept.a'])
      // The snapshot that it loads now has message 0; message 1 comes live.
      expect(numbers(link)).toEqual([1])
      link.cut()
      const again = await connect(query(['kept.a'], at))
      await settled()
      expect(numbers(again)).toEqual([1])
      expect(resets(again)).toEqual([])
    },
  )

  test('gets nothing of a group whose history was trimmed, and all of the others, after the reset', async () => {
    const { connect, publish } = setup({ count: 2 })
    const { cursor } = await publish('kept.a')
    for (const group of ['kept.b', 'kept.a', 'kept.a', 'kept.a']) await publish(group)
    const link = await connect(query(['kept.a', 'kept.b'], cursor))
    await settled()
    expect(numbers(link)).toEqual([1])
    expect(link.envelopes.map((envelope) => Object.keys(envelope).at(-1))).toEqual([
      'open',
      'reset',
      'message',
      'cursor',
    ])
    expect(resets(link)[0]).toEqual({ groups: ['kept.a'], cursor })
  })

  test('is told to reset when the epoch has changed', async () => {
    const { connect, publish, layer } = setup()
    const { cursor } = await publish('kept.a')
    await layer.flush()
    await publish('kept.a')
    const link = await connect(query(['kept.a'], cursor))
    await settled()
    expect(resets(link)).toHaveLength(1)
    expect(numbers(link)).toEqual([])
  })

  test('misses nothing that is sent while it is let in', async () => {
    const { hub, connect, publish } = setup()
    let letIn = () => {}
    const wait = new Promise<void>((resolve) => {
      letIn = resolve
    })
    hub.consumer('/slow', {
      async connect(connection) {
        await connection.join('kept.a')
        await wait
        await connection.join('kept.b')
      },
    })
    const { cursor } = await publish('kept.a')
    const coming = connect(`/slow?cursor=${cursor}`)
    await settled()
    for (const group of ['kept.a', 'kept.b', 'loose', 'kept.b', 'kept.a']) await publish(group)
    letIn()
    const link = await coming
    await publish('kept.b')
    await settled()
    expect(numbers(link)).toEqual([1, 2, 4, 5, 6])
  })

  test('reads a long history at its own pace: the bound for slow readers is for what is live', async () => {
    const { connect, publish } = setup({ count: 10_000, bytes: 64 * 1024 * 1024 })
    const { cursor } = await publish('kept.a')
    for (let i = 0; i < 300; i++) await publish('kept.a', { text: 'x'.repeat(10_000) })
    const link = await connect(query(['kept.a'], cursor))
    expect(link.writes).toBeGreaterThan(20)
    expect(numbers(link)).toEqual(Array.from({ length: 300 }, (_, i) => i + 1))
    expect(Math.max(...link.batches.map(({ size }) => size))).toBeLessThan(80 * 1024)
  })

  test('congested in the middle of its past, gets the rest and what is live afterwards, in order', async () => {
    const { connect, publish } = setup({ count: 10_000, bytes: 64 * 1024 * 1024 })
    const { cursor } = await publish('kept.a')
    for (let i = 0; i < 30; i++) await publish('kept.a', { text: 'x'.repeat(10_000) })
    const slow = await connect(query(['kept.a'], cursor), {}, 3)
    for (let i = 0; i < 30; i++) await publish('kept.a', { text: 'x'.repeat(10_000) })
    await settled()
    expect(numbers(slow).length).toBeLessThan(20)
    await publish('kept.a')
    await settled()
    slow.drain()
    await settled()
    expect(numbers(slow)).toEqual(Array.from({ length: 61 }, (_, i) => i + 1))
  })
})

describe('a thousand clients that come back at once', () => {
  test('share the frames and the bytes of what they missed', async () => {
    const { connect, publish } = setup()
    const { cursor } = await publish('kept.a')
    for (let i = 0; i < 50; i++) await publish('kept.a')
    const links = await Promise.all(Array.from({ length: 1000 }, () => connect(query(['kept.a'], cursor))))
    await settled()
    const frames = new Set(links.flatMap(({ batches }) => batches.flatMap((batch) => batch.frames())))
    const shared = [...frames].filter(({ publication }) => publication !== null)
    expect(shared).toHaveLength(50)
    for (const link of links) expect(numbers(link)).toEqual(Array.from({ length: 50 }, (_, i) => i + 1))
  })

  // Symptom: with more than 4 MiB to replay nothing was shared: each client pushed out what the next would have looked for.
  test('share also what is more than a few megabytes', async () => {
    const { connect, publish } = setup({ count: 10_000, bytes: 64 * 1024 * 1024 })
    const { cursor } = await publish('kept.a')
    for (let i = 0; i < 80; i++) await publish('kept.a', { text: 'x'.repeat(100_000) })
    const links = await Promise.all([1, 2, 3].map(() => connect(query(['kept.a'], cursor))))
    await settled()
    expect(links.map((link) => numbers(link).length)).toEqual([80, 80, 80])
    const frames = links.flatMap(({ batches }) => batches.flatMap((batch) => batch.frames()))
    expect(new Set(frames.filter(({ publication }) => publication !== null)).size).toBe(80)
  })
})

describe('a new client with history=n', () => {
  test('gets the newest of each group in one order, and can resume from each of them', async () => {
    const { connect, publish } = setup()
    for (const group of ['kept.a', 'kept.a', 'kept.b', 'kept.a', 'kept.b', 'kept.b']) await publish(group)
    const link = await connect(query(['kept.a', 'kept.b'], null, 2))
    await publish('kept.a')
    await settled()
    expect(numbers(link)).toEqual([1, 3, 4, 5, 6])
    expect(link.envelopes[0]?.open?.cursor).toBeUndefined()
    for (const [index, { cursor }] of link.envelopes
      .filter(({ message }) => message !== undefined)
      .entries()) {
      const again = await connect(query(['kept.a', 'kept.b'], cursor))
      await settled()
      expect([...numbers(link).slice(0, index + 1), ...numbers(again)].slice(-5)).toEqual(
        index === 0 ? [2, 3, 4, 5, 6] : [1, 3, 4, 5, 6],
      )
    }
  })

  test('gets each message once when some are sent while it joins', async () => {
    const { hub, connect, publish } = setup()
    hub.consumer('/slow', {
      async connect(connection) {
        await connection.join('kept.a', { history: 2 })
        await connection.join('kept.b')
        for (const group of ['kept.a', 'kept.b', 'kept.a', 'kept.b']) await publish(group)
      },
    })
    for (let i = 0; i < 3; i++) await publish('kept.a')
    const link = await connect('/slow')
    await publish('kept.b')
    await settled()
    expect(numbers(link)).toEqual([3, 4, 5, 6, 7])
  })

  // Symptom: a message came twice. What was recalled was told from what was recalled again by its object, and large ones are not shared.
  test('gets each message once, however large', async () => {
    const { hub, connect, publish } = setup({ bytes: 64 * 1024 * 1024 })
    hub.consumer('/slow', {
      async connect(connection) {
        await connection.join('kept.a', { history: 5 })
        await publish('kept.a', { text: 'x'.repeat(5 * 1024 * 1024) })
      },
    })
    expect(numbers(await connect('/slow'))).toEqual([0])
  })

  // Symptom: a hole without a reset. While `connect` waited, more came than the group keeps; of what was read before and after, the middle was
  // in neither, and had been taken out of what was live.
  test('misses nothing of what is left when a group turns over while it joins', async () => {
    const { hub, connect, publish } = setup({ count: 3 })
    hub.consumer('/slow', {
      async connect(connection) {
        await connection.join('kept.a', { history: 2 })
        await connection.join('kept.b')
        for (let i = 0; i < 10; i++) await publish(i % 3 === 0 ? 'kept.b' : 'kept.a')
      },
    })
    for (let i = 0; i < 5; i++) await publish('kept.a')
    const link = await connect('/slow')
    await publish('kept.a')
    await settled()
    expect(numbers(link, 'kept.a')).toEqual([6, 7, 9, 10, 12, 13, 15])
    expect(numbers(link, 'kept.b')).toEqual([5, 8, 11, 14])
    // Symptom: cut in the middle, it missed what had come of the other group. The cursors of the past were ahead of that.
    expect(cursorsOf(link)).toEqual(cursorsOf(link).toSorted((a, b) => a - b))
    // Cut before anything live has come, it is told that it may have missed something.
    const again = await connect(query(['kept.a', 'kept.b'], link.envelopes[0]?.open?.cursor))
    expect(resets(again).map(({ groups }) => groups)).toEqual([['kept.a', 'kept.b']])
  })

  test('gets what the last of several joins asked for', async () => {
    const { hub, connect, publish } = setup()
    await publish('kept.a')
    hub.consumer('/again', {
      async connect(connection) {
        await connection.join('kept.a', { history: 5 })
        await connection.leave('kept.a')
        await connection.join('kept.a')
      },
    })
    const link = await connect('/again')
    await publish('kept.a')
    await settled()
    expect(numbers(link)).toEqual([1])
  })

  test('is refused for a number that is none', async () => {
    const { connect } = setup()
    await expect(connect(`${query(['kept.a'])}&history=-1`)).rejects.toThrow('bad-request')
  })
})

describe('a client that joins with history later', () => {
  test('gets the newest first, marked as past, then what is live; its position stays', async () => {
    const { connect, publish } = setup()
    for (const group of ['kept.b', 'kept.b', 'kept.b', 'kept.a']) await publish(group)
    const link = await connect(query(['kept.a']))
    const live = await publish('kept.a')
    link.say({ join: 'kept.b', history: 2, reply: 1 })
    await publish('kept.b')
    await settled()
    await publish('kept.b')
    await settled()
    expect(numbers(link)).toEqual([4, 2, 5, 6])
    const past = link.envelopes.filter((envelope) => envelope.past !== undefined)
    expect(past.map(({ message, cursor }) => [message?.n, cursor])).toEqual([
      [2, undefined],
      [5, undefined],
    ])
    expect(live.cursor).toBe(link.envelopes[1]?.cursor)
    // Behind all of it, a cursor that makes up for the past: who is cut now does not get it again.
    const [bare] = link.envelopes
      .filter(({ message, cursor }) => message === undefined && cursor !== undefined)
      .slice(-1)
    const again = await connect(query(['kept.a', 'kept.b'], bare?.cursor))
    await settled()
    expect(numbers(again)).toEqual([6])
  })
})

describe('what is counted', () => {
  test('connections that resume, resets by group, and what clients get of the past', async () => {
    const { hub, connect, publish } = setup({ count: 2 })
    const { cursor } = await publish('kept.a')
    for (const group of ['kept.b', 'kept.b', 'kept.c', 'kept.c', 'kept.c', 'kept.a']) await publish(group)
    const counts = () => {
      const { resumed, resets, recalled } = hub.stats
      return [resumed, resets, recalled]
    }
    await connect(query(['kept.a', 'kept.b']))
    expect(counts()).toEqual([0, 0, 0])
    await connect(query(['kept.a', 'kept.b'], cursor))
    expect(counts()).toEqual([1, 0, 3])
    await connect(query(['kept.a', 'kept.c'], cursor))
    expect(counts()).toEqual([2, 1, 4])
    await connect(query(['kept.a', 'kept.b', 'kept.c'], 'garbage'))
    expect(counts()).toEqual([3, 4, 4])
    // Nothing to resume where nothing is kept.
    await connect(query(['loose'], cursor))
    expect(counts()).toEqual([3, 4, 4])
    const link = await connect(query(['kept.a'], null, 1))
    expect(counts()).toEqual([3, 4, 5])
    link.say({ join: 'kept.b', history: 2 })
    await settled()
    expect(counts()).toEqual([3, 4, 7])
  })

  test('what handlers get of the past, too; not who is refused', async () => {
    const { hub, connect, publish } = setup()
    const { cursor } = await publish('kept.a')
    await publish('kept.a')
    hub.consumer('/handled', { connect: (connection) => connection.join('kept.a'), handlers: { n() {} } })
    await connect(`/handled?cursor=${cursor}`)
    expect(hub.stats).toMatchObject({ resumed: 1, resets: 0, recalled: 1 })
    hub.consumer('/refused', {
      async connect(connection) {
        await connection.join('kept.a')
        throw new Refusal()
      },
    })
    await expect(connect('/refused?cursor=garbage')).rejects.toThrow('forbidden')
    expect(hub.stats).toMatchObject({ resumed: 1, resets: 0, recalled: 1 })
  })
})

describe('two groups joined at once with history', () => {
  // Symptom: a handler had messages of the second group twice, and a cursor went past some that it had yet to have.
  test.each(['/plain', '/handled'])(
    'each come once and in order, whichever past comes first: %s',
    async (path) => {
      const { hub, connect, layer, publish } = setup()
      const answers = new Map<string, () => void>()
      const replay = layer.replay.bind(layer)
      layer.replay = async (request) => {
        const [group = ''] = request.groups.keys()
        if (request.after === null) await new Promise<void>((resolve) => answers.set(group, resolve))
        return replay(request)
      }
      const handled: number[] = []
      const join = {
        receive: (connection: { join(group: string, options: { history: number }): Promise<void> }) =>
          Promise.all(['kept.a', 'kept.b'].map((group) => connection.join(group, { history: 9 }))),
      }
      hub.consumer('/plain', join)
      hub.consumer('/handled', { ...join, handlers: { n: (_c, { n }) => void handled.push(n as number) } })
      for (const group of ['kept.a', 'kept.b']) await publish(group)
      const link = await connect(path)
      // A handler's turn comes when `receive` is done, which waits for both.
      link.say({ send: { type: 'go' } })
      await settled()
      for (const group of ['kept.b', 'kept.a', 'kept.b']) await publish(group)
      answers.get('kept.a')?.()
      await settled()
      answers.get('kept.b')?.()
      await settled()
      await publish('kept.b')
      await settled()
      const got = path === '/plain' ? numbers(link) : handled
      expect(got.filter((n) => [0, 3].includes(n))).toEqual([0, 3])
      expect(got.filter((n) => ![0, 3].includes(n))).toEqual([1, 2, 4, 5])
    },
  )
})

describe('a past that waits for congested clients', () => {
  test('counts once, however many wait for it, and no more when they have gone', async () => {
    const { hub, connect, publish } = setup({ count: 10_000, bytes: 64 * 1024 * 1024 })
    const { cursor } = await publish('kept.a')
    for (let i = 0; i < 100; i++) await publish('kept.a', { text: 'x'.repeat(10_000) })
    const slow = await Promise.all([1, 2, 3].map(() => connect(query(['kept.a'], cursor), {}, 1)))
    await settled()
    expect(hub.stats.backlogBytes).toBeGreaterThan(1_000_000)
    expect(hub.stats.backlogBytes).toBeLessThan(1_100_000)
    slow[0]?.drain()
    slow[1]?.cut()
    await settled()
    expect(hub.stats.backlogBytes).toBeGreaterThan(1_000_000)
    slow[2]?.drain()
    await settled()
    expect(hub.stats.backlogBytes).toBe(0)
    expect(numbers(slow[2] as FakeLink)).toHaveLength(100)
  })
})

describe('a client that goes', () => {
  // Symptom: the memory of a hub that closed grew by the whole past of every client that had stopped reading.
  test('is not sent all of its past at once when it does not read', async () => {
    const { hub, connect, publish } = setup({ count: 10_000, bytes: 64 * 1024 * 1024 })
    const { cursor } = await publish('kept.a')
    for (let i = 0; i < 100; i++) await publish('kept.a', { text: 'x'.repeat(10_000) })
    const link = await connect(query(['kept.a'], cursor), {}, 3)
    await publish('kept.a')
    await settled()
    expect(hub.stats.backlogBytes).toBeGreaterThan(500_000)
    await hub.close({ deadlineMs: 1 })
    expect(link.writes).toBe(4)
    expect(link.envelopes.at(-1)?.close).toBeDefined()
    expect(hub.stats.backlogBytes).toBe(0)
  })
})

describe('a client that joins while its group is busy', () => {
  // Symptom: an EventSource got five messages again. The cursor that follows a join was read before what came meanwhile had gone out.
  test('never gets a cursor that goes back', async () => {
    const { hub, connect, publish } = setup()
    hub.consumer('/busy', {
      async receive(connection) {
        const joined = connection.join('kept.a', { history: 2 })
        for (let i = 0; i < 3; i++) await publish('kept.a')
        await joined
        await publish('kept.a')
      },
    })
    for (let i = 0; i < 3; i++) await publish('kept.a')
    const link = await connect('/busy')
    link.say({ send: { type: 'go' } })
    await settled()
    const cursors = cursorsOf(link)
    expect(cursors).toEqual(cursors.toSorted((a, b) => a - b))
    expect(cursors.at(-1)).toBe(7)
    expect(new Set(numbers(link)).size).toBe(numbers(link).length)
  })
})

describe('a client that joins a group in which more comes meanwhile than it wants of the past', () => {
  // Symptom: 14 messages of a group that it was in were lost when a client was cut right after it had joined another. What the other group got
  // before its past was sent first, with its cursors, and so before what was held back of the first group and was older.
  test.each(['by command', 'through handlers'])(
    'is given no cursor ahead of what its other groups got: %s',
    async (how) => {
      const { hub, layer, connect, publish } = setup()
      const replay = layer.replay.bind(layer)
      let goOn = () => {}
      hub.consumer('/busy', {
        ...groupsConsumer(),
        ...(how === 'through handlers' && { handlers: { other() {} } }),
      })
      const link = await connect('/busy?group=kept.a')
      await settled()
      layer.replay = async (request) => {
        await new Promise<void>((resolve) => {
          goOn = resolve
        })
        return replay(request)
      }
      link.say({ join: 'kept.b', history: 2, reply: 1 })
      await settled()
      for (const group of ['kept.a', 'kept.b', 'kept.a', 'kept.b', 'kept.a', 'kept.b', 'kept.a'])
        await publish(group)
      goOn()
      await settled()
      expect(cursorsOf(link)).toEqual(cursorsOf(link).toSorted((a, b) => a - b))
      expect(numbers(link, 'kept.a')).toEqual([0, 2, 4, 6])
      expect(numbers(link, 'kept.b')).toEqual([1, 3, 5])
    },
  )

  test('so it is with two that it joins at once', async () => {
    const { hub, layer, connect, publish } = setup()
    const replay = layer.replay.bind(layer)
    const waiting: (() => void)[] = []
    hub.consumer('/both', {
      connect: (connection) => connection.join('kept.a'),
      async receive(connection) {
        await Promise.all([
          connection.join('kept.b', { history: 1 }),
          connection.join('kept.c', { history: 1 }),
        ])
      },
      handlers: { other() {} },
    })
    const link = await connect('/both')
    layer.replay = async (request) => {
      await new Promise<void>((resolve) => waiting.push(resolve))
      return replay(request)
    }
    link.say({ send: { type: 'go' } })
    await settled()
    for (let round = 0; round < 2; round++) {
      for (const group of ['kept.c', 'kept.a', 'kept.b']) await publish(group)
      for (const group of ['kept.b', 'kept.a', 'kept.c']) await publish(group)
      waiting.shift()?.()
      await settled()
    }
    expect(cursorsOf(link)).toEqual(cursorsOf(link).toSorted((a, b) => a - b))
    expect(numbers(link, 'kept.a')).toEqual([1, 4, 7, 10])
    expect(numbers(link, 'kept.b')).toEqual([2, 3, 8, 9])
    expect(numbers(link, 'kept.c')).toEqual([0, 5, 6, 11])
  })
})

describe('a client that joins later without history', () => {
  // Symptom: what a group had got before the client joined came after its next cut, or a reset did, for a past that it never asked for.
  test('does not get what was before when it comes back', async () => {
    const { connect, publish } = setup({ count: 2 })
    const link = await connect(query(['kept.a']))
    for (let i = 0; i < 4; i++) await publish('kept.b')
    link.say({ join: 'kept.b', reply: 1 })
    await settled()
    const { cursor } = link.envelopes.at(-2) ?? {}
    expect(cursor).toMatch(/\.4$/)
    link.cut()
    await publish('kept.b')
    const again = await connect(query(['kept.a', 'kept.b'], cursor))
    await settled()
    expect(numbers(again)).toEqual([4])
    expect(resets(again)).toEqual([])
  })
})

describe('types that a consumer handles', () => {
  // Symptom: a client was cut, and what its handler had not come to was never handled. A message that needs no handler had overtaken them,
  // and its cursor said that they were behind.
  test('are not overtaken by others: what was not handled comes again', async () => {
    const { hub, connect, publish } = setup()
    const handled: number[] = []
    let goOn = () => {}
    hub.consumer('/handled', {
      connect: (connection) => connection.join('kept.a'),
      handlers: {
        async work(_connection, message) {
          handled.push(message.n as number)
          await new Promise<void>((resolve) => {
            goOn = resolve
          })
        },
      },
    })
    const link = await connect('/handled')
    for (let i = 0; i < 3; i++) await publish('kept.a', { type: 'work' })
    await publish('kept.a')
    await settled()
    expect(numbers(link)).toEqual([])
    link.cut()
    goOn()
    const again = await connect(`/handled?cursor=${link.envelopes[0]?.open?.cursor}`)
    for (let i = 0; i < 4; i++) {
      goOn()
      await settled()
    }
    expect(handled).toEqual([0, 0, 1, 2])
    expect(numbers(again)).toEqual([3])
  })

  // Symptom: a handler that joined another group with history for what was replayed to it was given none.
  test('may join with history while they are replayed', async () => {
    const { hub, connect, publish } = setup()
    for (let i = 0; i < 3; i++) await publish('kept.b', { type: 'old' })
    hub.consumer('/handled', {
      connect: (connection) => connection.join('kept.a'),
      handlers: { n: (connection) => connection.join('kept.b', { history: 2 }) },
    })
    const { cursor } = await publish('kept.a')
    await publish('kept.a')
    const link = await connect(`/handled?cursor=${cursor}`)
    await settled()
    expect(link.envelopes.filter(({ past }) => past !== undefined).map(({ message }) => message?.n)).toEqual([
      1, 2,
    ])
  })

  // Symptom: a client came back again and again and was refused with handshake-timeout, its handlers at work each time.
  test('do not keep the client at the door', async () => {
    const { hub, connect, publish } = setup()
    hub.consumer('/handled', {
      connect: (connection) => connection.join('kept.a'),
      handlers: { n: () => new Promise(() => {}) },
    })
    const { cursor } = await publish('kept.a')
    await publish('kept.a')
    const link = await connect(`/handled?cursor=${cursor}`)
    expect(link.envelopes).toHaveLength(1)
  })

  test('are replayed through its handlers, each once, before what is live', async () => {
    const { hub, connect, publish } = setup()
    const handled: number[] = []
    hub.consumer('/handled', {
      async connect(connection) {
        await connection.join('kept.a')
        await publish('kept.a')
      },
      handlers: { n: (_connection, message) => void handled.push(message.n as number) },
    })
    const { cursor } = await publish('kept.a')
    await publish('kept.a')
    const link = await connect(`/handled?cursor=${cursor}`)
    await publish('kept.a')
    await settled()
    expect(handled).toEqual([1, 2, 3])
    expect(numbers(link)).toEqual([])
  })
})

describe('history of a hub', () => {
  test('pages through a group from a cursor, or gives the newest', async () => {
    const { hub, publish } = setup()
    const sent = []
    for (let i = 0; i < 7; i++) sent.push(await publish('kept.a'))
    const newest = await hub.history('kept.a', { limit: 3 })
    expect(newest.messages.map(({ message }) => message.n)).toEqual([4, 5, 6])
    expect(newest.hasMore).toBe(true)
    const seen = []
    let after = String(sent[0]?.cursor)
    for (let hasMore = true; hasMore; ) {
      const page = await hub.history('kept.a', { after, limit: 4 })
      seen.push(...page.messages.map(({ message }) => message.n))
      ;({ cursor: after, hasMore } = page)
    }
    expect(seen).toEqual([1, 2, 3, 4, 5, 6])
    expect((await hub.history('kept.a', { after })).messages).toEqual([])
  })

  test('says what it cannot give', async () => {
    const { hub } = setup()
    await expect(hub.history('loose')).rejects.toMatchObject({ code: 'history-not-available' })
    await expect(hub.history('kept.a', { after: 'x' })).rejects.toMatchObject({ code: 'history-lost' })
    await expect(hub.history('kept.a', { limit: 0 })).rejects.toMatchObject({ code: 'invalid-option' })
    await expect(hub.history('a b')).rejects.toMatchObject({ code: 'invalid-name' })
  })

  test('needs a layer that keeps it', () => {
    const layer = Object.assign(Object.create(memoryLayer()), {
      capabilities: { replay: false, queues: true, order: 'sender' },
    })
    expect(() => createHub({ layer, groups: [{ match: '*', history: {} }] })).toThrow('does not keep')
    expect(() => createHub({ groups: [{ match: '*', history: { count: 0 } }] })).toThrow('count')
  })
})

// --- The model ---

/** One client across its connections, as an application sees it: it remembers the last cursor, and comes back with it. */
class Client {
  link: FakeLink | null = null
  cursor: string | null = null
  groups: readonly string[] = []
  /** By group, how many had been published when it joined. */
  readonly since = new Map<string, number>()
  seen = 0
  readonly got: Envelope[] = []

  /** Reads what has come. Cut in the middle of a late past, it gets the rest again, and knows by `past` what it has. */
  read(): void {
    for (const envelope of this.link?.envelopes.slice(this.seen) ?? []) {
      const isKnown = this.got.some(
        ({ group, past }) => group === envelope.group && isAtOrBefore(envelope.cursor, past),
      )
      if (!isKnown) this.got.push(envelope)
      // What waited when it left has come: what comes now belongs to the next time.
      if (envelope.reply === 2) forget(this, String(envelope.result?.group))
      const next = envelope.cursor ?? envelope.reset?.cursor
      // Back would be to get again what has come.
      if (next !== this.cursor && isAtOrBefore(next, this.cursor ?? undefined))
        throw new Error(`The cursor goes back from ${this.cursor}: ${JSON.stringify(envelope).slice(0, 200)}`)
      this.cursor = next ?? this.cursor ?? envelope.open?.cursor ?? null
    }
    this.seen = this.link?.envelopes.length ?? 0
  }
}

/** Whether a cursor of this epoch is at another or before it. */
function isAtOrBefore(cursor: string | undefined, other: string | undefined): boolean {
  if (cursor === undefined || other === undefined) return false
  const [[epoch, sequence], [otherEpoch, otherSequence]] = [cursor.split('.'), other.split('.')]
  return epoch === otherEpoch && Number(sequence) <= Number(otherSequence)
}

const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('publish' as const),
      group: fc.nat(3),
      count: fc.integer({ min: 1, max: 4 }),
      bytes: fc.constantFrom(0, 0, 0, 40_000),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('connect' as const),
      who: fc.nat(2),
      groups: fc.subarray([...GROUPS], { minLength: 1 }),
      history: fc.nat(3),
      budget: fc.integer({ min: 1, max: 4 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('resume' as const),
      who: fc.nat(2),
      during: fc.nat(3),
      budget: fc.integer({ min: 1, max: 4 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('cut' as const), who: fc.nat(2) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('join' as const),
      who: fc.nat(2),
      group: fc.nat(3),
      history: fc.nat(3),
      during: fc.nat(12),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('leave' as const), who: fc.nat(2), group: fc.nat(3) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('congest' as const), who: fc.nat(2) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('drain' as const), who: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('flush' as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('settle' as const) }) },
)

describe('whatever happens', () => {
  test('a client misses nothing and sees nothing twice, or is told', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 8 }),
        fc.boolean(),
        fc.array(step, { maxLength: 60, size: 'max' }),
        run,
      ),
      { numRuns: 500 },
    )
  })
})

type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never

/** @param isFar whether the layer takes its time to give the past */
async function run(count: number, isFar: boolean, steps: readonly Step[]): Promise<void> {
  const { hub, layer, connect, publish, errors } = setup({ count })
  if (isFar) {
    const replay = layer.replay.bind(layer)
    layer.replay = async (request) => {
      await new Promise((resolve) => setImmediate(resolve))
      return replay(request)
    }
  }
  /** What was published, by group. */
  const log = new Map<string, { readonly n: number; readonly cursor: string | null }[]>(
    GROUPS.map((group) => [group, []]),
  )
  const clients = [new Client(), new Client(), new Client()]
  const send = async (group: string, bytes = 0) =>
    void log.get(group)?.push(await publish(group, { text: 'x'.repeat(bytes) }))
  for (const taken of steps) {
    const client = clients['who' in taken ? taken.who : 0] as Client
    const group = GROUPS['group' in taken ? taken.group : 0] as string
    const { link } = client
    switch (taken.kind) {
      case 'publish':
        for (let i = 0; i < taken.count; i++) await send(group, taken.bytes)
        break
      case 'connect':
        link?.cut()
        // A new life: what it had is forgotten.
        Object.assign(client, { cursor: null, seen: 0, groups: taken.groups })
        client.got.length = 0
        for (const [name, published] of log) client.since.set(name, published.length)
        client.link = await connect(query(taken.groups, null, taken.history), {}, taken.budget)
        break
      case 'resume': {
        if (link === null || client.groups.length === 0) break
        client.read()
        link.cut()
        // The answer to its leaving may have been lost.
        for (const name of GROUPS) if (!client.groups.includes(name)) forget(client, name)
        const coming = connect(query(client.groups, client.cursor), {}, taken.budget)
        for (let i = 0; i < taken.during; i++) await send(GROUPS[(i + count) % 4] as string)
        // It has got nothing at all: as new as before.
        if (client.cursor === null)
          for (const [name, published] of log) client.since.set(name, published.length)
        client.seen = 0
        client.link = await coming
        break
      }
      case 'cut':
        client.read()
        link?.cut()
        break
      case 'join':
        if (link === null || link.isClosed || client.groups.includes(group)) break
        client.groups = [...client.groups, group]
        link.say({ join: group, history: taken.history, reply: 1 })
        for (let i = 0; i < taken.during; i++) await send(GROUPS[(i * 5 + count) % 4] as string)
        // Of what was sent meanwhile some may have come before it was in.
        client.since.set(group, log.get(group)?.length ?? 0)
        await settled()
        break
      case 'leave':
        if (link === null || link.isClosed || !client.groups.includes(group)) break
        client.groups = client.groups.filter((name) => name !== group)
        link.say({ leave: group, reply: 2 })
        await settled()
        break
      case 'congest':
        if (link !== null) link.isCongested = true
        break
      case 'drain':
        if (link?.isClosed === false) link.drain()
        break
      case 'flush':
        await layer.flush()
        break
      case 'settle':
        await settled()
        break
    }
  }
  for (const { link } of clients) if (link?.isClosed === false) link.drain()
  await settled()
  for (const client of clients) client.read()
  for (const client of clients) for (const group of client.groups) check(client, group, log.get(group) ?? [])
  expect(errors).toEqual([])
  await hub.close({ deadlineMs: 1 })
}

/** What it got of a group before it left is nothing to compare with what it gets when it joins again. */
function forget(client: Client, group: string): void {
  for (let i = client.got.length - 1; i >= 0; i--) if (client.got[i]?.group === group) client.got.splice(i, 1)
}

function check(
  client: Client,
  group: string,
  log: readonly { readonly n: number; readonly cursor: string | null }[],
): void {
  let last: number | null = null
  /** How much had been published when it was told to load a snapshot. */
  let reset: number | null = null
  for (const envelope of client.got) {
    if (envelope.reset?.groups.includes(group) === true) reset = envelope.at
    if (envelope.group !== group || envelope.message === undefined) continue
    const index = log.findIndex(({ n }) => n === envelope.message?.n)
    const expected: number = last === null ? index : last + 1
    if (index !== expected) {
      // A gap: of a group that keeps nothing, or one that was told.
      expect(index).toBeGreaterThan(expected - 1)
      if (group !== 'loose') {
        expect(reset, `gap in ${group} at ${envelope.message.n} without a reset`).not.toBeNull()
        for (const { n } of log.slice(expected, index)) expect(n).toBeLessThan(reset ?? 0)
      }
    }
    reset = null
    last = index
  }
  // Who is connected has everything up to the end.
  const isLive = client.link?.isClosed === false && group !== 'loose'
  const since = client.since.get(group) ?? 0
  if (isLive && reset === null && log.length > since) expect(last).toBe(log.length - 1)
}
