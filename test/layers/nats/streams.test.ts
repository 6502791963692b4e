/** Streams that are there, and are gone again: what clusters do where several nodes make one at the same moment. */
import { expect, test } from 'vitest'
import { API, ApiError, type JetStream, type StreamConfig } from '../../../src/layers/nats/jet-stream.ts'
import { resolveOptions } from '../../../src/layers/nats/options.ts'
import { Streams } from '../../../src/layers/nats/streams.ts'
import { Subjects } from '../../../src/layers/nats/subjects.ts'
import { Bus } from '../../support/bus.ts'

const subjects = new Subjects('groupcast')

/** As much of JetStream as opening asks for. */
class FakeStreams {
  readonly made: StreamConfig[] = []
  readonly #there = new Map<string, StreamConfig>()
  /** What comes before a stream is made. */
  beforeCreate: () => void | Promise<void> = () => {}
  /** What comes before the newest of a subject is looked for. */
  beforeLast: (drop: (stream: string) => void) => void | Promise<void> = () => {}

  async info(stream: string) {
    const config = this.#there.get(stream)
    return config === undefined ? null : infoOf(config)
  }

  async create(config: StreamConfig) {
    this.made.push(config)
    await this.beforeCreate()
    this.#there.set(config.name, config)
    return infoOf(config)
  }

  async last(stream: string) {
    await this.beforeLast((dropped) => void this.#there.delete(dropped))
    if (!this.#there.has(stream)) throw new ApiError({ err_code: API.noStream })
    return null
  }

  async append() {
    return 1
  }
}

function infoOf(config: StreamConfig) {
  return { config, state: { first_seq: 1, last_seq: 0 }, cluster: { name: 'test', leader: 'server0' } }
}

function open(fake: FakeStreams, bus = new Bus(), serverId: string | null = null) {
  const options = resolveOptions({})
  const report = (error: unknown) => expect.fail(String(error))
  const wire = { ...bus.wire(), serverId }
  return new Streams(fake as unknown as JetStream, subjects, options, wire, report).open(null)
}

const historyMade = ({ made }: FakeStreams) => made.filter(({ name }) => name === subjects.historyStream)

// A server of a cluster panicked in isGroupLeaderless, and the cluster stood still: three hubs that started together each made the stream, with an epoch each.
test('of nodes that open at once, one makes the streams', async () => {
  const fake = new FakeStreams()
  const bus = new Bus()
  const opened = await Promise.all([open(fake, bus), open(fake, bus), open(fake, bus)])
  expect(fake.made.map(({ name }) => name).sort()).toEqual([subjects.historyStream, subjects.queueStream])
  expect(new Set(opened.map(({ eras }) => eras.epoch)).size).toBe(1)
  expect(bus.listeners).toBe(0)
})

// The same, by one node: a cluster that took its time to answer was asked for another stream each half second.
test('a stream that takes long is asked for again as it was', async () => {
  const fake = new FakeStreams()
  let times = 0
  fake.beforeCreate = () => (times++ < 2 ? new Promise(() => {}) : undefined)
  await open(fake)
  expect(fake.made.length).toBeGreaterThan(2)
  expect(new Set(historyMade(fake).map(({ subjects: [stored] = [] }) => stored)).size).toBe(1)
})

test('where one server keeps the streams, nobody asks whose turn it is', async () => {
  const bus = new Bus()
  await open(new FakeStreams(), bus, 'NABCDEF0123456789')
  expect(bus.said).toEqual([])
})

// Nodes of a cluster that started together were not ready at the first attempt: it ended with "stream not found".
test('a stream that the cluster drops, since two nodes made it, is made again', async () => {
  const fake = new FakeStreams()
  let times = 0
  fake.beforeLast = (drop) => {
    if (times++ < 2) drop(subjects.historyStream)
  }
  const { eras } = await open(fake)
  const made = historyMade(fake)
  expect(made).toHaveLength(3)
  expect(made.at(-1)?.subjects?.[0]).toBe(`${subjects.stored(eras.epoch)}.>`)
})

// No node of a cluster was ready at the first attempt, which ended after 5 s: what is asked about a stream that nobody leads yet is not answered at all.
test('a question about a stream that nobody answers is asked again', async () => {
  const fake = new FakeStreams()
  let times = 0
  fake.beforeLast = () => (times++ < 1 ? new Promise(() => {}) : undefined)
  await open(fake)
  expect(times).toBe(2)
})

// A cluster that elects a leader says so, and each attempt to open a session ended with it.
test('a stream that nobody leads at the moment is asked again', async () => {
  const fake = new FakeStreams()
  let times = 0
  fake.beforeLast = () => {
    if (times++ < 1) throw new ApiError({ err_code: API.unavailable })
  }
  await open(fake)
  expect(times).toBe(2)
})
