/** `groupcast bench` as users run it: a process of its own, with its clients in others. */
import { pino } from 'pino'
import { afterEach, describe, expect, onTestFinished, test } from 'vitest'
import { missingUws } from '../../bench/lib/uws.mjs'
import { loadConfig } from '../../src/server/config/load.ts'
import { startServer } from '../../src/server/server.ts'
import { endRuns, groupcast } from '../cli/groupcast.ts'
import { startPrefixProxy } from '../support/prefix-proxy.ts'

afterEach(endRuns)

async function startHub(flags: Record<string, unknown> = {}): Promise<string> {
  const loaded = loadConfig({ flags: { port: '0', ...flags }, env: {}, cwd: '/' })
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems))
  const running = await startServer(loaded.config, { log: pino({ level: 'silent' }) })
  onTestFinished(() => running.close())
  return running.url
}

const SHORT = ['--clients', '30', '--duration', '0.5', '--rate', '60']

test('prints a table, shows progress, and ends well', async () => {
  const { code, stdout, stderr } = await groupcast([
    'bench',
    await startHub(),
    ...SHORT,
    '--transport',
    'mixed',
  ])
  expect(stdout).toMatch(/^connected +30 of 30$/m)
  expect(stdout).toMatch(/^deliveries +900 of 900$/m)
  expect(stdout).toMatch(/^lost +0$/m)
  expect(stdout).toMatch(/to the last subscriber( +[\d.]+){5}$/m)
  expect(stderr).toMatch(/publishing: 30 of 30 clients/)
  expect(code).toBe(0)
})

const BACKENDS = missingUws() === null ? ['node', 'uws'] : ['node']

test.each(BACKENDS)('prints JSON, with clients in two processes, on %s', async (backend) => {
  const more = ['--json', '--processes', '2', '--groups', 'a,b,c', '--each', '2', '--batch', '10']
  const { code, stdout } = await groupcast(['bench', await startHub({ backend }), ...SHORT, ...more])
  expect(JSON.parse(stdout)).toMatchObject({
    connected: 30,
    published: 30,
    received: 600,
    lost: 0,
    doubled: 0,
    outOfOrder: 0,
  })
  expect(code).toBe(0)
})

test('fails with the reason when messages or clients are refused', async () => {
  const url = await startHub({ apiKeys: ['a-key-that-is-long-enough-for-anybody'] })
  const refused = await groupcast(['bench', url, '--clients', '2', '--duration', '0.1', '--rate', '10'])
  expect(refused.stderr).toMatch(/messages? w\w+ refused.*status 401/)
  expect(refused.code).toBe(1)
  const nobody = await groupcast(['bench', url, ...SHORT, '--path', '/elsewhere'])
  expect(nobody.stderr).toMatch(/30 clients did not connect \(30 × refused: status 404\)/)
  expect(nobody.stdout).toBe('')
  expect(nobody.code).toBe(1)
}, 60_000)

// Messages went to `/api` at the origin's root, whatever path the hub was below: the path of the URL was thrown away.
describe('a hub below a path', () => {
  const well = { connected: 30, published: 30, received: 900, lost: 0, refused: 0, failure: null }

  async function bench(url: string, ...args: string[]) {
    const { code, stdout, stderr } = await groupcast(['bench', url, ...SHORT, '--json', ...args])
    expect(code, stderr).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject(well)
  }

  test.each([
    ['its base', '/live', []],
    ['its base with a slash, published in bulk', '/live/', ['--batch', '10']],
    ['its streams', '/live/events', ['--transport', 'mixed']],
  ])('by the URL of %s', async (_what, path, args) => {
    const { url, seen } = await startPrefixProxy(await startHub(), '/live')
    await bench(url + path, ...args)
    // What becomes due while a request is under way is published in bulk, too.
    const allowed = ['/live/events?group=bench', '/live/api/publish', '/live/api/groups/bench/messages']
    expect(allowed).toEqual(expect.arrayContaining([...new Set(seen)]))
    expect(seen).toContain(allowed[0])
    expect(seen).toContain(allowed[args.includes('--batch') ? 1 : 2])
  })

  test('with a path of its own for the streams', async () => {
    const { url } = await startPrefixProxy(await startHub({ path: '/push/now' }), '/live')
    await bench(`${url}/live/push/now`, '--path', '/push/now')
  })

  test('with its API somewhere else', async () => {
    // Streams at `/live/events` of a hub that is at the root: nothing shows that its API is not below `/live`.
    const hub = await startHub({ path: '/live/events' })
    const lost = await groupcast(['bench', `${hub}/live/events`, ...SHORT])
    expect(lost.stderr).toContain(`status 404 from ${hub}/live/api`)
    expect(lost.code).toBe(1)
    await bench(`${hub}/live/events`, '--api-url', hub)
    const { url } = await startPrefixProxy(hub, '/publishing')
    await bench(`${hub}/live/events`, '--api-url', `${url}/publishing/`)
  }, 60_000)
})

test.each([
  [['--clients', '0'], /whole number from 1 up/],
  [['--rate', 'x'], /number above 0/],
  [['--size', '10'], /--size must be at least/],
  [['--each', '2'], /--each must be at most/],
  [['--groups', 'a,,b'], /./],
  [['--transport', 'carrier-pigeon'], /websocket, sse, mixed/],
  [['--api-url', 'ftp://127.0.0.1'], /Give a URL such as/],
  // The stack of a RangeError, and a load that published nothing and ended well.
  [['--rate', '1000000000'], /publishes 10,000,000,000 messages: .* from 1 to 10,000,000\.$/m],
  [['--rate', '9'.repeat(400)], /publishes ∞ messages/],
  [['--rate', '0.01', '--duration', '1'], /publishes 0 messages: rate times seconds must be from 1 /],
  [['--local-address', '10.0.0.0/8'], /an IPv4 network of up to 1024 addresses/],
])('wrong usage: %j', async (args, text) => {
  const { code, stderr } = await groupcast(['bench', 'http://127.0.0.1:1', ...args])
  expect(stderr).toMatch(text)
  expect(code).toBe(2)
})

test('a query of the URL, which only the streams can have, is refused', async () => {
  const { code, stderr } = await groupcast(['bench', 'http://127.0.0.1:1/events?token=a', ...SHORT])
  expect(stderr).toMatch(/must not have a query: give it with the path/)
  expect(code).toBe(2)
})
