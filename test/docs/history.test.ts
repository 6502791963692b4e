/** The code of `docs/history.md` compiles and does what the page says. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { EventSource } from 'eventsource'
import { createHub, groupsConsumer, type Hub } from 'groupcast'
import { expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import { HISTORY_DEFAULTS } from '../../src/history.ts'
import { loadConfig } from '../../src/server/config/load.ts'
import { listen, stop } from '../support/hub-server.ts'
import { until } from '../support/until.ts'

const ROOT = new URL('../..', import.meta.url).pathname
const PAGE = readFileSync(join(ROOT, 'docs/history.md'), 'utf8')

/** The code blocks of one language, in order. */
function blocks(language: string): string[] {
  return [...PAGE.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms'))].map(
    ([, code]) => code ?? '',
  )
}

/** The one block that has this in it. */
function blockWith(language: string, text: string): string {
  const found = blocks(language).filter((code) => code.includes(text))
  expect(found, text).toHaveLength(1)
  return found[0] ?? ''
}

/** A folder in the package, so that what is in it finds the package's own. Gone with the test. */
function newFolder(): string {
  const folder = mkdtempSync(join(ROOT, 'test-results-history-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Imports a block that listens on port 8000, and lets it listen on a free one. */
async function startBlock(code: string): Promise<{ hub: Hub; url: string }> {
  const file = join(newFolder(), 'server.ts')
  expect(code).toContain('server.listen(8000)')
  writeFileSync(file, `${code.replace('listen(8000)', "listen(0, '127.0.0.1')")}\nexport { hub, server }\n`)
  const { hub, server } = (await import(file)) as { hub: Hub; server: Server }
  onTestFinished(async () => {
    await hub.close({ deadlineMs: 1_000 })
    await stop(server)
  })
  await until('it listens', () => server.listening)
  return { hub, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

test('the code compiles', { timeout: 60_000 }, () => {
  const folder = newFolder()
  for (const [n, code] of blocks('ts').entries()) writeFileSync(join(folder, `block-${n}.ts`), code)
  const sources = 'declare global { function loadItems(): Promise<object[]> }\nexport {}\n'
  writeFileSync(join(folder, 'sources.ts'), sources)
  const config = {
    extends: join(ROOT, 'tsconfig.json'),
    compilerOptions: { noUnusedLocals: false, paths: { groupcast: [join(ROOT, 'src/index.ts')] } },
    include: ['*.ts'],
  }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config))
  execFileSync(join(ROOT, 'node_modules/.bin/tsc'), ['-p', folder], { encoding: 'utf8' })
})

test('the configuration is one, and the bounds and their defaults are those there are', () => {
  const cwd = newFolder()
  writeFileSync(join(cwd, 'groupcast.config.json'), blockWith('json', '"groups"'))
  expect(loadConfig({ flags: {}, env: {}, cwd })).toMatchObject({ ok: true })
  const rows = [...PAGE.matchAll(/^\| `(\w+)` +\| (\d+) +\|/gm)].map(([, name, value]) => [
    name,
    Number(value),
  ])
  expect(Object.fromEntries(rows)).toEqual(HISTORY_DEFAULTS)
})

test('the page loads its state without a gap, and anew after a reset', async () => {
  const { hub, url } = await startBlock(blockWith('ts', 'loadItems'))
  const state = ['first']
  const answers: { cursor: string; items: string[] }[] = []
  Object.assign(globalThis, {
    async loadItems() {
      const items = [...state]
      // What changes between the cursor and the state: the gap that would be.
      await hub.groupSend('board', { type: 'item', title: `change ${answers.length}` })
      return items
    },
  })
  const applied: unknown[] = []
  const sources: EventSource[] = []
  onTestFinished(() => {
    for (const source of sources) source.close()
  })
  const run = new Function('EventSource', 'fetch', 'show', 'apply', blockWith('js', "fetch('/board')"))
  run(
    function open(path: string) {
      // The first cursor was made by a hub that is gone.
      const address = answers.length === 1 ? path.replace(/cursor=.*/, 'cursor=before.1') : path
      const source = new EventSource(url + address)
      sources.push(source)
      return source
    },
    async (path: string) => {
      const response = await fetch(url + path)
      answers.push((await response.clone().json()) as never)
      return response
    },
    () => {},
    (message: { title: string }) => applied.push(message.title),
  )
  await until('it has loaded twice', () => answers.length === 2)
  await until('it has what changed meanwhile', () => applied.includes('change 1'))
  await hub.groupSend('board', { type: 'item', title: 'last' })
  await until('it has the last', () => applied.includes('last'))
  expect(applied).toEqual(['change 1', 'last'])
  expect(sources.map(({ readyState }) => readyState)).toEqual([EventSource.CLOSED, EventSource.OPEN])
})

test('the WebSocket comes back where it was', async () => {
  const hub = createHub({ groups: [{ match: 'chat.*', history: {} }] })
  hub.consumer('/events', groupsConsumer())
  const server = createServer()
  hub.attach(server)
  const url = await listen(server)
  const sockets: WebSocket[] = []
  onTestFinished(async () => {
    for (const socket of sockets) {
      socket.onclose = null
      socket.terminate()
    }
    await hub.close({ deadlineMs: 1_000 })
    await stop(server)
  })
  const heard: string[] = []
  const run = new Function('WebSocket', 'console', blockWith('js', 'new WebSocket'))
  run(
    function open(address: string, protocol: string) {
      const socket = new WebSocket(
        address.replace('ws://127.0.0.1:8000', url.replace('http', 'ws')),
        protocol,
      )
      sockets.push(socket)
      return socket
    },
    { log: ({ type }: { type: string }) => heard.push(type) },
  )
  const isIn = () => hub.group('chat.lobby').connections.websocket === 1
  await until('it is in', isIn)
  await hub.groupSend('chat.lobby', { type: 'one' })
  await until('it has the first', () => heard.length === 1)
  sockets[0]?.terminate()
  await until('it is gone', () => !isIn())
  for (const type of ['two', 'three']) await hub.groupSend('chat.lobby', { type })
  await until('it is back', isIn)
  await hub.groupSend('chat.lobby', { type: 'four' })
  await until('it has the last', () => heard.includes('four'))
  expect(heard).toEqual(['one', 'two', 'three', 'four'])
})
