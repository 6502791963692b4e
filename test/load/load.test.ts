/** A whole load on a real hub, in this process; and on servers that do not keep the order or lose messages. */
import { createServer, type Server } from 'node:http'
import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { WebSocketServer } from 'ws'
import { missingUws } from '../../bench/lib/uws.mjs'
import { type LoadOptions, runLoad } from '../../src/load/index.ts'
import { loadConfig } from '../../src/server/config/load.ts'
import { startServer } from '../../src/server/server.ts'
import { listen, stop } from '../support/hub-server.ts'

async function startHub(flags: Record<string, unknown> = {}): Promise<string> {
  const loaded = loadConfig({ flags: { port: '0', ...flags }, env: {}, cwd: '/' })
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems))
  const running = await startServer(loaded.config, { log: pino({ level: 'silent' }) })
  onTestFinished(() => running.close())
  return running.url
}

const options = (url: string): LoadOptions => ({
  url,
  path: '/events',
  transport: 'websocket',
  groups: ['a'],
  clients: 20,
  concurrency: 10,
  workers: 0,
  rate: 100,
  size: 100,
  durationMs: 300,
  batch: 1,
  apiKey: null,
  patienceMs: 2_000,
})

const WELL = {
  failed: 0,
  ended: 0,
  lost: 0,
  doubled: 0,
  outOfOrder: 0,
  damaged: 0,
  refused: 0,
  failure: null,
}

test.each(['websocket', 'sse', 'mixed'] as const)('%s clients get every message', async (transport) => {
  const url = await startHub()
  const report = await runLoad({ ...options(url), transport })
  expect(report).toMatchObject({ ...WELL, connected: 20, published: 30, received: 600, expected: 600 })
  expect(report.sampled).toBeGreaterThan(0)
  expect(report.latency.count).toBe(600)
  expect(report.timeToLast.count).toBe(30)
  // Both are rounded to three digits, which is more than a tenth of a millisecond where a busy machine was late.
  expect(report.latency.max).toBeLessThanOrEqual(report.timeToLast.max * 1.001 + 0.1)
})

const BACKENDS = missingUws() === null ? ['node', 'uws'] : ['node']

// On uWebSockets.js the connection of a publisher that did not wait for answers was closed, and what it had sent was lost.
test.each(BACKENDS)('messages that are due before the last was answered, on %s', async (backend) => {
  const url = await startHub({ backend })
  const report = await runLoad({ ...options(url), transport: 'mixed', rate: 20_000, durationMs: 100 })
  expect(report).toMatchObject({ ...WELL, published: 2000, received: 40_000, expected: 40_000 })
})

test.each(BACKENDS)(
  'several groups, each client in some of them, published in bulk, on %s',
  async (backend) => {
    const url = await startHub({ backend })
    const groups = ['a', 'b', 'c', 'd', 'e']
    const report = await runLoad({
      ...options(url),
      groups,
      groupsEach: 2,
      transport: 'mixed',
      rate: 1000,
      batch: 50,
    })
    expect(report).toMatchObject({ ...WELL, published: 300, received: 300 * 8, expected: 300 * 8 })
  },
)

test('messages of some size, cut by the network', async () => {
  const url = await startHub()
  const report = await runLoad({ ...options(url), transport: 'mixed', size: 70_000, rate: 40 })
  expect(report).toMatchObject({ ...WELL, received: 12 * 20 })
  expect(report.sampled).toBeGreaterThan(0)
})

// Nothing above half a kilobyte was compared at all.
test.each([600, 70_000])('finds damage at the end of a message of %i bytes', async (size) => {
  const url = await startFake((text, send) => send(text.replace('xx"}', 'xy"}')))
  expect(await runLoad({ ...options(url), clients: 1, size })).toMatchObject({ lost: 0, damaged: 1 })
})

test('says why clients are refused, and publishes nothing for nobody', async () => {
  const url = await startHub()
  const report = await runLoad({ ...options(url), path: '/elsewhere' })
  expect(report).toMatchObject({ connected: 0, failed: 20, published: 0, received: 0 })
  expect(report.reasons).toEqual(['20 × refused: status 404'])
})

test('says why messages are refused', async () => {
  const url = await startHub({ apiKeys: ['a-key-that-is-long-enough-for-anybody'] })
  const report = await runLoad({ ...options(url), rate: 20, durationMs: 500, patienceMs: 100 })
  expect(report.refused).toBe(10)
  expect(report.failure).toMatch(/^status 401/)
  expect(report.lost).toBeGreaterThan(0)
})

test('an aborted load reports what was published until then', async () => {
  const url = await startHub()
  const controller = new AbortController()
  const run = runLoad({ ...options(url), durationMs: 60_000, signal: controller.signal })
  // Whatever has been published by then: two messages at least.
  for (let published = 0; published < 2; ) {
    const metrics = await (await fetch(`${url}/metrics`)).text()
    published = Number(/^groupcast_publications_total (\d+)$/m.exec(metrics)?.[1] ?? 0)
  }
  controller.abort()
  const report = await run
  expect(report).toMatchObject(WELL)
  expect(report.published).toBeGreaterThan(0)
  expect(report.received).toBe(report.published * 20)
})

/** A server that takes messages as a hub does and hands them on as `deliver` says. */
async function startFake(deliver: (text: string, send: (text: string) => void) => void): Promise<string> {
  const sockets = new WebSocketServer({ noServer: true })
  const server: Server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    // What became due while the request before was under way comes in one.
    const lines = request.url === '/api/publish' ? body.trimEnd().split('\n') : null
    for (const text of lines?.map((line) => JSON.stringify(JSON.parse(line).message)) ?? [body])
      for (const socket of sockets.clients) deliver(text, (sent) => socket.send(sent))
    response.end('{"cursor":null}')
  })
  server.on('upgrade', (request, socket, head) => sockets.handleUpgrade(request, socket, head, () => {}))
  onTestFinished(() => stop(server))
  return listen(server)
}

test('finds what is lost, doubled, out of order and damaged', async () => {
  let held: string | null = null
  const url = await startFake((text, send) => {
    const n = Number(JSON.parse(text).n)
    if (n === 3) return
    if (n === 5) {
      held = text
      return
    }
    send(text)
    if (n === 7) send(text)
    if (n === 9 && held !== null) send(held)
  })
  const report = await runLoad({ ...options(url), clients: 1, patienceMs: 300 })
  expect(report).toMatchObject({ received: 30, expected: 30, lost: 1, doubled: 1, outOfOrder: 1 })

  const damaging = await startFake((text, send) => send(text.replace('xxx', 'xyx')))
  expect(await runLoad({ ...options(damaging), clients: 1 })).toMatchObject({ lost: 0, damaged: 1 })
})

test('messages that a server never asks for are not sent, which is said', async () => {
  const sockets = new WebSocketServer({ noServer: true })
  const server = createServer(() => {})
  server.on('upgrade', (request, socket, head) => sockets.handleUpgrade(request, socket, head, () => {}))
  onTestFinished(() => stop(server))
  const report = await runLoad({ ...options(await listen(server)), clients: 2, patienceMs: 100 })
  expect(report).toMatchObject({ published: 1, received: 0, lost: 2 })
  expect(report.failure).toBe('29 messages were not sent: no answer came to those before')
})

test('messages of others are not counted as its own', async () => {
  const url = await startFake((_text, send) => send('not of this load'))
  const report = await runLoad({ ...options(url), clients: 2, patienceMs: 100 })
  expect(report).toMatchObject({ received: 0, other: 60, lost: 60 })
})

test('notices clients that are disconnected, and why', async () => {
  const sockets = new WebSocketServer({ noServer: true })
  const server = createServer((_request, response) => response.end('{}'))
  server.on('upgrade', (request, socket, head) =>
    sockets.handleUpgrade(request, socket, head, (client) => setTimeout(() => client.close(4001), 100)),
  )
  onTestFinished(() => stop(server))
  const report = await runLoad({ ...options(await listen(server)), clients: 3, patienceMs: 100 })
  expect(report).toMatchObject({ ended: 3, connected: 0 })
  expect(report.reasons).toEqual(['3 × closed with code 4001'])
})

test('refuses messages that are too short for a number', async () => {
  await expect(runLoad({ ...options('http://127.0.0.1:1'), size: 10 })).rejects.toThrow(RangeError)
})
