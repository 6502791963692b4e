/** The publisher of a load, against servers that answer when the test says so. */
import { createServer, type ServerResponse } from 'node:http'
import { expect, onTestFinished, test } from 'vitest'
import { Publisher } from '../../src/load/publisher.ts'
import { listen, stop } from '../support/hub-server.ts'

interface Request {
  readonly url: string
  /** Numbers of its messages. */
  readonly numbers: readonly number[]
  readonly socket: unknown
  answer(headers?: Readonly<Record<string, string>>, status?: number): void
}

/** A server that hands each request to the test. */
async function startManual() {
  const requests: Request[] = []
  const waiting: ((request: Request) => void)[] = []
  let underWay = 0
  let most = 0
  const server = createServer(async (request, response) => {
    most = Math.max(most, ++underWay)
    let body = ''
    for await (const chunk of request) body += chunk
    const numbers = [...body.matchAll(/"n":"(\d+)"/g)].map(([, n]) => Number(n))
    const taken = { url: request.url ?? '', numbers, socket: request.socket, answer: answerTo(response) }
    const next = waiting.shift()
    if (next === undefined) requests.push(taken)
    else next(taken)
  })
  const answerTo =
    (response: ServerResponse): Request['answer'] =>
    (headers = {}, status = 200) => {
      underWay--
      response.writeHead(status, headers).end('{"cursor":null}')
    }
  onTestFinished(() => stop(server))
  const next = () =>
    new Promise<Request>((resolve) => {
      const request = requests.shift()
      if (request === undefined) waiting.push(resolve)
      else resolve(request)
    })
  return { url: await listen(server), next, most: () => most, left: () => requests.length }
}

function publisherTo(url: string, size = 64): Publisher {
  const publisher = new Publisher({ url, groups: ['a'], size, apiKey: null })
  onTestFinished(() => publisher.close())
  return publisher
}

function range(first: number, end: number): number[] {
  return Array.from({ length: end - first }, (_, i) => first + i)
}

// `groupcast bench` failed on a healthy hub on uWebSockets.js: it sent requests one behind another, and that server closes the connection
// when the second comes before the first is answered.
test('one request is under way at a time, and what becomes due meanwhile leaves in the next', async () => {
  const server = await startManual()
  const publisher = publisherTo(server.url)
  publisher.send(0, 1)
  const first = await server.next()
  for (const n of range(1, 6)) publisher.send(n, n + 1)
  expect(publisher.messages).toBe(1)
  first.answer()
  const second = await server.next()
  expect([first, second]).toMatchObject([
    { url: '/api/groups/a/messages', numbers: [0] },
    { url: '/api/publish', numbers: [1, 2, 3, 4, 5] },
  ])
  publisher.send(6, 7)
  second.answer()
  const third = await server.next()
  expect(third).toMatchObject({ url: '/api/groups/a/messages', numbers: [6], socket: first.socket })
  third.answer()
  await publisher.settled(10_000)
  expect(publisher).toMatchObject({ messages: 7, refused: 0, failure: null })
  expect(server.most()).toBe(1)
})

test.each([
  ['a thousand at most', 64, 1, [1000, 1000, 500]],
  ['a mebibyte at most', 256 * 1024, 1, [4, 4, 2]],
  ['one at least', 2 * 1024 * 1024, 1, [1, 1]],
  ['as many as were sent at once', 64, 1200, [1200, 1200]],
])('what waited leaves in pieces: %s', async (_what, size, batch, lengths) => {
  const server = await startManual()
  const publisher = publisherTo(server.url, size)
  const total = lengths.reduce((sum, length) => sum + length, 0)
  publisher.send(0, batch)
  const first = await server.next()
  for (let n = batch; n < batch + total; n += batch) publisher.send(n, n + batch)
  first.answer()
  let sent = batch
  for (const length of lengths) {
    const request = await server.next()
    expect(request.numbers).toEqual(range(sent, sent + length))
    sent += length
    request.answer()
  }
  await publisher.settled(10_000)
  expect(publisher.messages).toBe(sent)
})

test('runs that do not follow each other keep their order', async () => {
  const server = await startManual()
  const publisher = publisherTo(server.url)
  publisher.send(0, 1)
  publisher.send(10, 12)
  publisher.send(20, 21)
  for (const numbers of [[0], [10, 11], [20]]) {
    const request = await server.next()
    expect(request.numbers).toEqual(numbers)
    request.answer()
  }
  await publisher.settled(10_000)
})

// nginx does so after a thousand requests.
test('a server that closes the connection with an answer gets the next message on another', async () => {
  const server = await startManual()
  const publisher = publisherTo(server.url)
  const sockets = new Set<unknown>()
  for (const n of range(0, 4)) publisher.send(n * 2, n * 2 + 1)
  for (const n of range(0, 4)) {
    const request = await server.next()
    expect(request.numbers).toEqual([n * 2])
    sockets.add(request.socket)
    request.answer({ connection: 'close' })
  }
  await publisher.settled(10_000)
  expect(sockets.size).toBe(4)
  expect(publisher).toMatchObject({ messages: 4, refused: 0, failure: null })
})

test('a refusal counts all messages of its request', async () => {
  const server = await startManual()
  const publisher = publisherTo(server.url)
  publisher.send(0, 5)
  const request = await server.next()
  request.answer({}, 401)
  await publisher.settled(10_000)
  expect(publisher.refused).toBe(5)
  expect(publisher.failure).toMatch(/^status 401/)
})

test('what waits is not sent after the end', async () => {
  const server = await startManual()
  const publisher = publisherTo(server.url)
  publisher.send(0, 1)
  const request = await server.next()
  publisher.send(1, 40)
  expect(publisher.stop()).toBe(39)
  request.answer()
  await publisher.settled(10_000)
  expect(publisher.messages).toBe(1)
  expect(publisher.stop()).toBe(0)
  expect(server.left()).toBe(0)
})

test('lateness counts until a message leaves, not until it is due', async () => {
  const server = await startManual()
  const publisher = publisherTo(server.url)
  const startMs = Number(process.hrtime.bigint()) / 1e6 - 5_000
  const done = publisher.run({ startMs, first: 0, intervalMs: 1_000, batch: 1, end: 3 })
  const first = await server.next()
  await done
  // Two of three wait.
  expect(publisher.lateness.totalCount).toBe(1)
  first.answer()
  const second = await server.next()
  expect(second.numbers).toEqual([1, 2])
  expect(publisher.lateness.totalCount).toBe(3)
  expect(publisher.lateness.maxValue).toBeGreaterThanOrEqual(4_900_000)
  second.answer()
  await publisher.settled(10_000)
})
