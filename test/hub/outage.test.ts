/** The layer's broker is lost, and comes back: what clients see. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createHub } from '../../src/create-hub.ts'
import { errorCodeOf } from '../../src/errors.ts'
import { groupsConsumer } from '../../src/groups-consumer.ts'
import { memoryBroker } from '../../src/layers/memory.ts'
import { type FakeLink, fakeBackend, settled } from '../support/fake-backend.ts'
import { severableLayer } from '../support/severable-layer.ts'

/** Two nodes; the first can lose its broker. */
function setup() {
  const broker = memoryBroker()
  const errors: unknown[] = []
  const node = () => {
    const { backend, connect } = fakeBackend()
    const layer = severableLayer(broker)
    const hub = createHub({
      ...{ backend, layer },
      groups: [{ match: 'kept.*', history: { count: 1000 } }],
      onError: (error) => errors.push(error),
    })
    hub.consumer('/events', groupsConsumer({ rules: [{ match: '*', join: 'anyone', send: 'anyone' }] }))
    hub.attach({})
    return { hub, layer, connect }
  }
  const [main, other] = [node(), node()]
  let n = 0
  return {
    ...{ main, other, errors },
    async publish(group: string, via = other) {
      const message = { type: 'n', n: n++ }
      return { n: message.n, ...(await via.hub.groupSend(group, message)) }
    },
  }
}

const numbers = (link: FakeLink) =>
  link.envelopes.flatMap(({ message }) => (message === undefined ? [] : [message.n]))
const resets = (link: FakeLink) => link.envelopes.flatMap(({ reset }) => (reset === undefined ? [] : [reset]))
const cursorOf = (link: FakeLink) =>
  link.envelopes.flatMap(({ cursor, open, reset }) => cursor ?? reset?.cursor ?? open?.cursor ?? []).at(-1) ??
  null

describe('while the broker is gone', () => {
  test('clients stay connected, and then get what they missed before what is live', async () => {
    const { main, publish } = setup()
    const link = await main.connect('/events?group=kept.a&group=kept.b')
    await publish('kept.a')
    main.layer.sever()
    for (const group of ['kept.b', 'kept.a', 'kept.c', 'kept.b']) await publish(group)
    await settled()
    expect(numbers(link)).toEqual([0])
    await main.layer.restore()
    await publish('kept.a')
    await settled()
    expect(numbers(link)).toEqual([0, 1, 2, 4, 5])
    expect(resets(link)).toEqual([])
    expect(link.isClosed).toBe(false)
  })

  test('nothing can be sent, and nothing is sent later', async () => {
    const { main, errors } = setup()
    const link = await main.connect('/events?group=kept.a&group=loose')
    main.layer.sever()
    for (const group of ['kept.a', 'loose'])
      expect(await main.hub.groupSend(group, { type: 'x' }).catch(errorCodeOf)).toBe('layer-unavailable')
    link.say({ publish: { group: 'loose', message: { type: 'x' } }, reply: 1 })
    await settled()
    expect(link.envelopes.at(-1)).toMatchObject({ reply: 1, error: { code: 'layer-unavailable' } })
    await main.layer.restore()
    await settled()
    expect(numbers(link)).toEqual([])
    expect(link.isClosed).toBe(false)
    // The layer says once what is wrong; not once more for each client.
    expect(errors).toEqual([])
  })

  test('whoever comes is told to come back, and nobody is woken for each of them', async () => {
    const { main, errors } = setup()
    main.layer.sever()
    await expect(main.connect('/events?group=kept.a')).rejects.toThrow(
      /layer-unavailable.*"httpStatus":503,"comeBack":true/,
    )
    const without = await main.connect('/events')
    without.say({ join: 'kept.a', reply: 1 })
    await settled()
    expect(without.envelopes.at(-1)).toMatchObject({ reply: 1, error: { code: 'layer-unavailable' } })
    expect(without.isClosed).toBe(false)
    await main.layer.restore()
    without.say({ join: 'kept.a', reply: 2 })
    await settled()
    expect(without.envelopes.find(({ reply }) => reply === 2)).toMatchObject({ result: { group: 'kept.a' } })
    expect(errors).toEqual([])
  })

  test('the hub is not ready, and says why', async () => {
    const { main } = setup()
    await main.hub.ready()
    main.layer.sever('redis://10.0.0.1 does not answer')
    expect(main.hub.status).toMatchObject({
      ready: false,
      layer: { reason: 'redis://10.0.0.1 does not answer' },
    })
    await main.layer.restore()
    expect(main.hub.status.ready).toBe(true)
  })
})

describe('groups of which it cannot be proved that nothing is missing', () => {
  test('are reset first; others go on without a hole', async () => {
    const { main, publish } = setup()
    const both = await main.connect('/events?group=kept.a&group=kept.b')
    const one = await main.connect('/events?group=kept.b')
    const { cursor } = await publish('kept.a')
    await publish('loose')
    main.layer.sever()
    await publish('kept.a')
    await publish('kept.b')
    await main.layer.restore(['kept.a'])
    await settled()
    expect(resets(both)).toEqual([{ groups: ['kept.a'], cursor }])
    expect(numbers(both)).toEqual([0, 3])
    expect(resets(one)).toEqual([])
    expect(numbers(one)).toEqual([3])
    expect(main.hub.stats.resets).toBe(1)
  })

  test('are reset with the position of now where nothing else was missed', async () => {
    const { main, publish } = setup()
    const link = await main.connect('/events?group=kept.a')
    main.layer.sever()
    await publish('kept.a')
    await main.layer.restore(['kept.a'])
    await settled()
    expect(resets(link)).toEqual([{ groups: ['kept.a'], cursor: main.layer.position }])
    link.cut()
    const again = await main.connect(`/events?group=kept.a&cursor=${cursorOf(link)}`)
    await settled()
    expect(resets(again)).toEqual([])
    expect(numbers(again)).toEqual([])
  })
})

// Symptom: a new client of a quiet node got what its group had got on another node before it came. Cause: a node that got nothing was still where
// it had last got something, and a client that is let in gets what came since it knocked.
test('a client that is new gets nothing from before it came, on whichever node that was sent', async () => {
  const { main, publish } = setup()
  await main.connect('/events?group=kept.z')
  for (let i = 0; i < 5; i++) await publish('kept.a')
  const link = await main.connect('/events?group=kept.a')
  await publish('kept.a')
  await settled()
  expect(numbers(link)).toEqual([5])
})

test('clients that go from node to node, while brokers come and go, miss nothing and see nothing twice, or are told', async () => {
  const step = fc.oneof(
    fc.constantFrom('a', 'b').map((group) => ({ do: 'publish' as const, group: `kept.${group}` })),
    fc.record({ do: fc.constant('move' as const), to: fc.constantFrom('main' as const, 'other' as const) }),
    fc.constant({ do: 'sever' as const }),
    fc.constant({ do: 'restore' as const, lost: [] as string[] }),
    fc.constant({ do: 'restore' as const, lost: ['kept.b'] }),
  )
  const run = async (steps: readonly (typeof step extends fc.Arbitrary<infer T> ? T : never)[]) => {
    const world = setup()
    const { main, other, publish } = world
    let isSevered = false
    const sent: { n: number; group: string }[] = []
    let link: FakeLink | null = await main.connect('/events?group=kept.a&group=kept.b')
    const links: FakeLink[] = [link]
    for (const one of steps) {
      if (one.do === 'publish') {
        const { n } = await publish(one.group)
        sent.push({ n, group: one.group })
      } else if (one.do === 'move') {
        link?.cut()
        const last = links.at(-1) as FakeLink
        const via = one.to === 'main' ? main : other
        link = await via
          .connect(`/events?group=kept.a&group=kept.b&cursor=${cursorOf(last)}`)
          .catch(() => null)
        if (link !== null) links.push(link)
      } else if (one.do === 'sever') {
        main.layer.sever()
        isSevered = true
      } else if (isSevered) {
        await main.layer.restore(one.lost)
        isSevered = false
      }
      await settled()
    }
    if (isSevered) await main.layer.restore()
    if (link === null) {
      const cursor = cursorOf(links.at(-1) as FakeLink)
      links.push(await other.connect(`/events?group=kept.a&group=kept.b&cursor=${cursor}`))
    }
    await settled()
    const got = links.flatMap(numbers)
    expect(new Set(got).size).toBe(got.length)
    expect(got).toEqual([...got].sort((a, b) => a - b))
    // Of a group that was reset the client loads its state; the others are whole.
    const wasReset = new Set(links.flatMap((one) => resets(one).flatMap(({ groups }) => groups)))
    const whole = sent.filter(({ group }) => !wasReset.has(group)).map(({ n }) => n)
    expect(got.filter((n) => whole.includes(n))).toEqual(whole)
    await Promise.all([main.hub.close({ deadlineMs: 1 }), other.hub.close({ deadlineMs: 1 })])
  }
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), (steps) => run(steps)),
    { numRuns: 150 },
  )
})
