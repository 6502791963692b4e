/** What goes wrong between the layer and a real server, and what becomes of it. */
import { readFileSync } from 'node:fs'
import { connect, headers } from '@nats-io/transport-node'
import { describe, expect, onTestFinished, test } from 'vitest'
import { errorCodeOf } from '../../../src/errors.ts'
import type { ChannelLayer, LayerRecovery, LayerStatus } from '../../../src/layers/layer.ts'
import { type NatsLayerOptions, natsLayer } from '../../../src/layers/nats/index.ts'
import { faultyWire } from '../../../src/testing/index.ts'
import { type NatsServer, natsServer } from '../../support/nats-server.ts'
import { startSlowWire } from '../../support/slow-wire.ts'
import { until } from '../../support/until.ts'

const HISTORY = { count: 1_000, ageMs: 3_600_000, bytes: 64 * 1024 * 1024 }
const json = (n: number) => JSON.stringify({ type: 'test', n })

/** A started layer, and all that its sink was told. Groups that begin with `kept.` keep history. */
class Node {
  readonly layer: ChannelLayer
  readonly statuses: LayerStatus[] = []
  readonly reports: Error[] = []
  readonly recoveries: LayerRecovery[] = []
  /** `group:n` of each publication. */
  readonly log: string[] = []

  static async start(id: string, options: NatsLayerOptions, history = HISTORY): Promise<Node> {
    const node = new Node(options)
    onTestFinished(() => node.layer.close())
    await node.layer.start({
      nodeId: id,
      historyOf: (group) => (group.startsWith('kept.') ? history : null),
      sink: {
        deliver: (group, publication) => void node.log.push(`${group}:${JSON.parse(publication.json).n}`),
        receive: () => true,
        status: (status) => void node.statuses.push(status),
        report: (error) => void node.reports.push(error as Error),
        recovered: (recovery) => {
          node.recoveries.push(recovery)
          for (const { group, publication } of recovery.publications)
            node.log.push(`${group}:${JSON.parse(publication.json).n}`)
        },
      },
    })
    return node
  }

  private constructor(options: NatsLayerOptions) {
    this.layer = natsLayer(options)
  }

  get reason(): string {
    return this.statuses.at(-1)?.reason ?? ''
  }

  ready(): Promise<void> {
    return until('the layer is ready', () => this.statuses.at(-1)?.state === 'ready', 20_000)
  }

  lost(): Promise<void> {
    return until('the layer is not ready', () => this.statuses.at(-1)?.state === 'connecting', 20_000)
  }

  arrived(entry: string): Promise<void> {
    return until(`${entry} arrives`, () => this.log.includes(entry))
  }
}

async function started(...options: Parameters<typeof natsServer>): Promise<NatsServer> {
  const server = await natsServer(...options)
  onTestFinished(() => server.stop())
  return server
}

/** Sends one request as an operator would. */
async function operate(server: NatsServer, operation: string, body: object = {}): Promise<void> {
  const connection = await connect({ servers: server.url })
  await connection.request(`$JS.API.${operation}`, JSON.stringify(body))
  await connection.close()
}

/** Lowers how many messages of a group are kept, as an operator would. */
async function limitHistory(server: NatsServer, max_msgs_per_subject: number): Promise<void> {
  const connection = await connect({ servers: server.url })
  const info = await connection.request('$JS.API.STREAM.INFO.groupcast-history')
  const { config } = JSON.parse(Buffer.from(info.data).toString())
  const changed = JSON.stringify({ ...config, max_msgs_per_subject })
  await connection.request('$JS.API.STREAM.UPDATE.groupcast-history', changed)
  await connection.close()
}

const codeAndText = (promise: Promise<unknown>) =>
  promise.then(
    () => 'no error',
    (error) => `${errorCodeOf(error)}: ${(error as Error).message}`,
  )

describe('a server that refuses', { timeout: 60_000 }, () => {
  test('the password: it is said once, and the layer is ready when it is right', async () => {
    const config = (password: string) => `authorization { user: "hub", password: "${password}" }`
    const server = await started({ config: config('other') })
    const url = `nats://hub:secret@127.0.0.1:${server.port}`
    const node = await Node.start('node0', { servers: url })
    expect(node.reason).toMatch(/authorization/i)
    expect(node.reason).not.toContain('secret')
    expect(await codeAndText(node.layer.groupSend('g', json(1)))).toMatch(
      /^layer-unavailable: .*authorization/i,
    )
    expect(node.reports.map(errorCodeOf)).toEqual(['layer-unavailable'])
    await server.kill()
    await server.start({ config: config('secret') })
    await node.ready()
    await node.layer.groupSend('g', json(1))
  })

  test('JetStream: the reason says what to enable', async () => {
    const server = await started({ jetStream: false })
    const node = await Node.start('node0', { servers: server.url })
    expect(node.reason).toContain('JetStream does not answer: enable it')
    expect(node.reports).toHaveLength(1)
    await server.kill()
    await server.start({ jetStream: true })
    await node.ready()
  })

  test('to publish or to subscribe in one group: that rejects with the subject, and all else goes on', async () => {
    const deny = '["groupcast.r.g.secret", "groupcast.h.*.g.kept=2Esecret"]'
    const permissions = `{ publish: { deny: ${deny} }, subscribe: { deny: ${deny} } }`
    const server = await started({
      config: `authorization { users: [{ user: "hub", password: "pw", permissions: ${permissions} }] }`,
    })
    const node = await Node.start('node0', { servers: `nats://hub:pw@127.0.0.1:${server.port}` })
    await node.ready()
    const { layer } = node
    const refused = /^layer-unavailable: .*No permission to (publish|subscribe to) groupcast\./
    for (const attempt of [layer.groupAdd('secret'), layer.groupSend('secret', json(1))])
      expect(await codeAndText(attempt)).toMatch(refused)
    expect(await codeAndText(layer.groupSend('kept.secret', json(1)))).toMatch(refused)
    await layer.groupAdd('open')
    await layer.groupSend('open', json(2))
    await node.arrived('open:2')
    expect(node.statuses.map(({ state }) => state)).toEqual(['connecting', 'ready'])
  })

  test('all but what the docs list: everything works', async () => {
    const docs = readFileSync(new URL('../../../docs/nats.md', import.meta.url), 'utf8')
    const listed = (what: string) => new RegExp(`^${what}:((?:\\s*"[^"]+",?)+)`, 'm').exec(docs)?.[1]
    const permissions = `{ publish: [${listed('publish')}], subscribe: [${listed('subscribe')}] }`
    const server = await started({
      config: `authorization { users: [{ user: "hub", password: "pw", permissions: ${permissions} }] }`,
    })
    const node = await Node.start('node0', { servers: `nats://hub:pw@127.0.0.1:${server.port}` })
    expect(node.reason).toBe('')
    const { layer } = node
    await layer.groupAdd('g')
    await layer.groupAdd('kept.a')
    await layer.groupSend('g', json(1))
    const cursor = await layer.groupSend('kept.a', json(0))
    for (let n = 1; n < 20; n++) await layer.groupSend('kept.a', json(n))
    const { publications } = await layer.replay({ groups: new Map([['kept.a', null]]), after: cursor })
    expect(publications).toHaveLength(19)
    await layer.send('jobs', json(2))
    await layer.receive('jobs')
    await layer.send(layer.channelOf('node1', 'x'), json(3))
    await layer.flush()
    expect(node.reports).toEqual([])
  })

  test('what the layer itself needs: it is not ready, and says which subject', async () => {
    const permissions = '{ subscribe: { deny: ["groupcast.n.>"] } }'
    const server = await started({
      config: `authorization { users: [{ user: "hub", password: "pw", permissions: ${permissions} }] }`,
    })
    const node = await Node.start('node0', { servers: `nats://hub:pw@127.0.0.1:${server.port}` })
    expect(node.reason).toContain('No permission to subscribe to groupcast.n.node0.*')
    expect(node.reports).toHaveLength(1)
  })

  test('to tell of messages of channels: who waits goes on waiting, and it is reported', async () => {
    const permissions = '{ subscribe: { deny: ["groupcast.w.>"] } }'
    const server = await started({
      config: `authorization { users: [{ user: "hub", password: "pw", permissions: ${permissions} }] }`,
    })
    const node = await Node.start('node0', { servers: `nats://hub:pw@127.0.0.1:${server.port}` })
    await node.ready()
    const stop = new AbortController()
    const waiting = node.layer.receive('jobs', stop.signal)
    await until('it is reported', () => node.reports.length > 0)
    expect(node.reports[0]?.message).toContain('No permission to subscribe to groupcast.w.jobs')
    stop.abort(new Error('enough'))
    await expect(waiting).rejects.toThrow('enough')
  })

  test('a message that is too large: invalid-message, and nothing else happens', async () => {
    const server = await started({ config: 'max_payload: 4096' })
    const node = await Node.start('node0', { servers: server.url })
    const large = JSON.stringify({ type: 'test', text: 'x'.repeat(5_000) })
    for (const attempt of [
      node.layer.groupSend('g', large),
      node.layer.groupSend('kept.g', large),
      node.layer.send('jobs', large),
    ])
      expect(await codeAndText(attempt)).toMatch(/^invalid-message: .* at most 4096/)
    await expect(node.layer.groupSend('kept.g', json(1))).resolves.toMatch(/\.\d+$/)
  })

  test('because a stream of its name is another program’s: it says so, and touches nothing', async () => {
    const server = await started()
    await operate(server, 'STREAM.CREATE.groupcast-history', {
      name: 'groupcast-history',
      subjects: ['orders.>'],
    })
    const node = await Node.start('node0', { servers: server.url })
    expect(node.reason).toContain('groupcast-history is not one of groupcast')
  })
})

describe('history', { timeout: 60_000 }, () => {
  test('goes on after kill -9 and a restart: cursors of before are good', async () => {
    const server = await started()
    const node = await Node.start('node0', { servers: server.url })
    await node.layer.groupAdd('kept.a')
    const first = await node.layer.groupSend('kept.a', json(1))
    const second = await node.layer.groupSend('kept.a', json(2))
    await server.kill()
    await node.lost()
    await server.start()
    await node.ready()
    const { publications, lost } = await node.layer.replay({
      groups: new Map([['kept.a', null]]),
      after: first,
    })
    expect(lost).toEqual([])
    expect(publications.map(({ publication }) => publication.cursor)).toEqual([second])
    expect(node.recoveries.map((one) => [one.lost, one.publications])).toEqual([[[], []]])
  })

  test('is lost with the store: cursors of before are of another epoch, and nodes hear it', async () => {
    const server = await started()
    const node = await Node.start('node0', { servers: server.url })
    await node.layer.groupAdd('kept.a')
    await node.layer.groupAdd('g')
    const before = await node.layer.groupSend('kept.a', json(1))
    await server.kill()
    server.wipe()
    await node.lost()
    await server.start()
    await node.ready()
    expect(node.recoveries.map(({ lost }) => lost)).toEqual([['kept.a']])
    const after = await node.layer.groupSend('kept.a', json(2))
    expect(after?.split('.')[0]).not.toBe(before?.split('.')[0])
    const { lost } = await node.layer.replay({ groups: new Map([['kept.a', null]]), after: before })
    expect(lost).toEqual(['kept.a'])
  })

  test('begins anew when the server lost the end of it, and the first node back had seen that', async () => {
    // Symptom: a client with the cursor 12 got nothing of what was numbered 11 and 12 again after a power cut.
    const server = await started()
    const node = await Node.start('node0', { servers: server.url })
    await node.layer.groupAdd('kept.a')
    await node.layer.groupSend('kept.a', json(1))
    await server.kill()
    const putBack = server.backUp()
    await node.lost()
    await server.start()
    await node.ready()
    const cursor = await node.layer.groupSend('kept.a', json(2))
    await server.kill()
    putBack()
    await node.lost()
    await server.start()
    await node.ready()
    expect(node.recoveries.at(-1)?.lost).toEqual(['kept.a'])
    expect(node.reports.map(({ message }) => message).join()).toContain('went back')
    const { lost } = await node.layer.replay({ groups: new Map([['kept.a', null]]), after: cursor })
    expect(lost).toEqual(['kept.a'])
  })

  test('begins anew when the first node back had not seen the end that the server lost, but another had', async () => {
    // Symptom: ten cursors were given twice, and a client with the cursor 15 got 106 to 130 and no reset. The store had lost its end, and the first node that came back had been
    // cut off before that: it went on where the store ended, so that for the node that knew more nothing was missing any more.
    const server = await started()
    const wires = [await faultyWire(server.port), await faultyWire(server.port)] as const
    for (const wire of wires) onTestFinished(() => wire.close())
    const urls = wires.map(({ port }) => `nats://127.0.0.1:${port}`)
    const knows = await Node.start('node0', { servers: urls[0] as string })
    const knowsNot = await Node.start('node1', { servers: urls[1] as string })
    for (const { layer } of [knows, knowsNot]) await layer.groupAdd('kept.a')
    const groups = new Map([['kept.a', null]])
    const kept = await knows.layer.groupSend('kept.a', json(1))
    await knowsNot.arrived('kept.a:1')
    wires[1].cut()
    await knowsNot.lost()
    await server.kill()
    const putBack = server.backUp()
    await knows.lost()
    await server.start()
    await knows.ready()
    const cursors: (string | null)[] = []
    for (let n = 2; n <= 20; n++) cursors.push(await knows.layer.groupSend('kept.a', json(n)))
    wires[0].cut()
    await knows.lost()
    await server.kill()
    putBack()
    await server.start()
    wires[1].mend()
    await knowsNot.ready()
    const again: (string | null)[] = []
    for (let n = 101; n <= 140; n++) again.push(await knowsNot.layer.groupSend('kept.a', json(n)))
    expect(again.filter((cursor) => cursors.includes(cursor))).toEqual([])
    // Whose cursor is of what went is told at once; nobody knows yet what was lost to the others.
    for (const after of cursors)
      expect((await knowsNot.layer.replay({ groups, after })).lost).toEqual(['kept.a'])
    expect((await knowsNot.layer.replay({ groups, after: kept })).lost).toEqual([])
    wires[0].mend()
    await until('the other hears it', () => knowsNot.recoveries.at(-1)?.lost.length === 1, 20_000)
    for (const node of [knows, knowsNot]) {
      await node.ready()
      expect(node.recoveries.at(-1)?.lost).toEqual(['kept.a'])
      for (const after of [kept, ...cursors, ...again])
        expect((await node.layer.replay({ groups, after })).lost).toEqual(['kept.a'])
    }
    expect(knows.reports.map(({ message }) => message).join()).toContain('went back')
  })

  test('goes on over many restarts, with every cursor of before', async () => {
    const server = await started()
    const nodes = [
      await Node.start('node0', { servers: server.url }),
      await Node.start('node1', { servers: server.url }),
    ] as const
    for (const { layer } of nodes) await layer.groupAdd('kept.a')
    const groups = new Map([['kept.a', null]])
    const cursors: (string | null)[] = []
    for (let n = 0; n < 4; n++) {
      cursors.push(await nodes[0].layer.groupSend('kept.a', json(n)))
      await server.kill()
      for (const node of nodes) await node.lost()
      await server.start()
      for (const node of nodes) await node.ready()
      await nodes[0].layer.refresh()
    }
    for (const { layer, recoveries, reports } of nodes) {
      for (const [index, after] of cursors.entries()) {
        const { publications, lost } = await layer.replay({ groups, after })
        expect(lost).toEqual([])
        expect(publications.map(({ publication }) => publication.cursor)).toEqual(cursors.slice(index + 1))
      }
      expect(recoveries.flatMap(({ lost }) => lost)).toEqual([])
      expect(reports.map(({ message }) => message).filter((text) => text.includes('went back'))).toEqual([])
    }
  })

  test('whose stream is deleted while nodes run begins anew, on all of them', async () => {
    const server = await started()
    const nodes = [
      await Node.start('node0', { servers: server.url }),
      await Node.start('node1', { servers: server.url }),
    ]
    for (const { layer } of nodes) await layer.groupAdd('kept.a')
    await nodes[0]?.layer.groupSend('kept.a', json(1))
    await operate(server, 'STREAM.DELETE.groupcast-history')
    expect(await codeAndText(nodes[0]?.layer.groupSend('kept.a', json(2)) as Promise<unknown>)).toMatch(
      /^layer-(unavailable|timeout): /,
    )
    for (const node of nodes) {
      await until(
        'it hears what is lost',
        () => node.recoveries.some(({ lost }) => lost.includes('kept.a')),
        20_000,
      )
      await node.ready()
    }
    await nodes[0]?.layer.groupSend('kept.a', json(3))
    for (const node of nodes) await node.arrived('kept.a:3')
    expect(nodes[1]?.log).not.toContain('kept.a:2')
  })

  test('that groups want more of than the stream keeps is bounded, and reported once', async () => {
    const server = await started()
    const options = { servers: server.url, maxMessagesPerGroup: 40 }
    const node = await Node.start('node0', options)
    const cursors: (string | null)[] = []
    for (let n = 0; n < 50; n++) cursors.push(await node.layer.groupSend('kept.a', json(n)))
    const groups = new Map([['kept.a', null]])
    expect((await node.layer.replay({ groups, after: null })).publications).toHaveLength(40)
    expect((await node.layer.replay({ groups, after: cursors[9] ?? null })).publications).toHaveLength(40)
    expect((await node.layer.replay({ groups, after: cursors[8] ?? null })).lost).toEqual(['kept.a'])
    expect(node.reports.map(({ message }) => message)).toEqual([
      expect.stringContaining('raise maxMessagesPerGroup'),
    ])
  })

  test.each([
    ['a node that keeps less comes', { maxMessagesPerGroup: 40 }, null],
    ['an operator lowers the limit', null, 41],
    ['it is lowered, and raised by the next node', { maxMessagesPerGroup: 1_000 }, 41],
  ])('has no hole that is not told: %s', async (_, others, limit) => {
    // Symptom: after a cursor a replay gave 151 to 200 of 21 to 200, and called nothing lost. A node with a smaller `maxMessagesPerGroup` had shrunk the stream,
    // and the nodes that were there took for proof that it keeps as much as when they connected.
    const server = await started()
    const node = await Node.start('node0', { servers: server.url })
    const cursors: (string | null)[] = []
    for (let n = 1; n <= 200; n++) cursors.push(await node.layer.groupSend('kept.a', json(n)))
    if (limit !== null) await limitHistory(server, limit)
    const nodes = [node]
    if (others !== null) nodes.push(await Node.start('node1', { servers: server.url, ...others }))
    for (const { layer } of nodes) {
      const groups = new Map([['kept.a', null]])
      const { publications, lost } = await layer.replay({ groups, after: cursors[19] ?? null })
      expect(publications).toHaveLength(limit === null ? 180 : 0)
      expect(lost).toEqual(limit === null ? [] : ['kept.a'])
      expect((await layer.replay({ groups, after: cursors[169] ?? null })).publications).toHaveLength(30)
    }
  })

  test('of several hundred publications since a cursor is given whole', async () => {
    const server = await started()
    const node = await Node.start('node0', { servers: server.url })
    const start = await node.layer.groupSend('kept.a', json(-1))
    await Promise.all(Array.from({ length: 500 }, (_, n) => node.layer.groupSend('kept.a', json(n))))
    const { publications, lost } = await node.layer.replay({
      groups: new Map([['kept.a', null]]),
      after: start,
    })
    expect(lost).toEqual([])
    expect(publications.map(({ publication }) => JSON.parse(publication.json).n)).toEqual(
      Array.from({ length: 500 }, (_, n) => n),
    )
  })
})

describe('another program', { timeout: 60_000 }, () => {
  test('that publishes on the subjects of a group reaches nobody, moves nothing, and is reported once', async () => {
    // Symptom: its bytes went to the clients as they were, a line break in them broke the frames of Server-Sent Events, and a header `Nats-Sequence` of its own moved the node’s
    // position. Whatever came on the subject was taken for a message of a hub.
    const server = await started()
    const node = await Node.start('node0', { servers: server.url })
    await node.layer.groupAdd('kept.a')
    const before = await node.layer.groupSend('kept.a', json(1))
    const stored = `groupcast.h.${before?.split('z')[0]}.g.kept=2Ea`
    const connection = await connect({ servers: server.url })
    const bogus = (fields: Record<string, string>) => {
      const all = headers()
      for (const [name, value] of Object.entries(fields)) all.set(name, value)
      return { headers: all, timeout: 5_000 }
    }
    const numbers = { 'Nats-Sequence': '999999', 'Nats-Last-Sequence': '0' }
    for (const text of ['', 'hello', '[1]', '{"type":"\nx"}', 'data: x\n\n', '\u0000'])
      for (const subject of ['groupcast.r.g.kept=2Ea', stored]) connection.publish(subject, text)
    connection.publish('groupcast.r.g.kept=2Ea', json(50), bogus({ traceparent: 'x' }))
    connection.publish('groupcast.r.g.kept=2Ea', json(51), bogus(numbers))
    for (const sequence of ['x', '-1', '1e3', 'Infinity', ''])
      connection.publish(
        'groupcast.r.g.kept=2Ea',
        json(52),
        bogus({ 'Nats-Subject': stored, 'Nats-Last-Sequence': '0', 'Nats-Sequence': sequence }),
      )
    await connection.request(stored, 'hello', bogus({ ...numbers, 'Nats-Subject': stored }))
    await connection.close()
    const after = await node.layer.groupSend('kept.a', json(2))
    await node.arrived('kept.a:2')
    expect(Number(node.layer.position?.split('.')[1])).toBeLessThan(1_000)
    const { publications, lost } = await node.layer.replay({
      groups: new Map([['kept.a', null]]),
      after: before,
    })
    expect(lost).toEqual([])
    expect(publications.map(({ publication }) => publication.cursor)).toEqual([after])
    expect(node.log).toEqual(['kept.a:1', 'kept.a:2'])
    expect(node.reports.map(({ message }) => message)).toEqual([
      expect.stringContaining('Another program publishes'),
    ])
    expect(node.statuses.map(({ state }) => state)).toEqual(['connecting', 'ready'])
  })
})

describe('a connection', { timeout: 60_000 }, () => {
  // Nodes of a busy cluster were never ready: whether the streams store was asked every 200 ms, and an answer that came after that did not count.
  test('whose answers take longer than it waits before it asks again is opened all the same', async () => {
    const server = await started()
    const port = await startSlowWire(server.port, 250)
    const node = await Node.start('node0', { servers: `nats://127.0.0.1:${port}`, timeoutMs: 10_000 })
    await node.layer.groupAdd('kept.a')
    await node.layer.groupSend('kept.a', json(1))
    await node.arrived('kept.a:1')
    expect(node.statuses.map(({ state }) => state)).toEqual(['connecting', 'ready'])
  })

  test('that the server cuts for being slow is opened again, and nothing is missing', async () => {
    const server = await started({ config: 'write_deadline: "500ms"' })
    const wire = await faultyWire(server.port)
    onTestFinished(() => wire.close())
    const sender = await Node.start('node0', { servers: server.url })
    const slow = await Node.start('node1', { servers: `nats://127.0.0.1:${wire.port}` })
    await slow.layer.groupAdd('kept.a')
    wire.stall('from broker')
    const text = 'x'.repeat(60_000)
    for (let n = 0; n < 300; n++)
      await sender.layer.groupSend('kept.a', JSON.stringify({ type: 'test', n, text }))
    await until('the server cuts it', () => server.log.includes('Slow Consumer'))
    wire.mend()
    await slow.lost()
    await slow.ready()
    expect(slow.recoveries.flatMap(({ lost }) => lost)).toEqual([])
    await slow.arrived('kept.a:299')
    expect(slow.log).toEqual(Array.from({ length: 300 }, (_, n) => `kept.a:${n}`))
  })

  test('to a server that stands still is given up, and what is sent then is not sent later', async () => {
    const server = await started()
    onTestFinished(() => server.resume())
    const node = await Node.start('node0', { servers: server.url })
    await node.layer.groupAdd('g')
    server.pause()
    await node.lost()
    expect(await codeAndText(node.layer.groupSend('g', json(1)))).toMatch(/^layer-unavailable: /)
    server.resume()
    await node.ready()
    await node.layer.groupSend('g', json(2))
    await node.arrived('g:2')
    expect(node.log).toEqual(['g:2'])
  })
})
