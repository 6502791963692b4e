/** The standalone server with a journal: what it keeps over restarts, and what it says when it cannot. */
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterEach, describe, expect, onTestFinished, test } from 'vitest'
import { loadConfig } from '../../src/server/config/load.ts'
import { type RunningServer, startServer } from '../../src/server/server.ts'
import { endRuns, start as startProcess } from '../cli/groupcast.ts'
import { newDirectory, openLayer } from '../layers/journal-support.ts'
import { listen, stop } from '../support/hub-server.ts'
import { serverKind } from '../support/servers.ts'
import { until, within } from '../support/until.ts'
import { connect, type HistoryClient } from './history-client.ts'

const GROUPS = [{ match: 'none.*' }, { match: '*', history: { count: 1000 } }]

/** What the server writes into its log, parsed. */
interface Line {
  readonly level: number
  readonly msg: string
  readonly code?: string
}

async function startOn(journal: string, more: object = {}) {
  const loaded = loadConfig({
    flags: { port: 0, groups: GROUPS, backend: serverKind.name, journal, ...more },
    env: {},
    cwd: '/nowhere',
  })
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems))
  const logged: Line[] = []
  const log = pino({ level: loaded.config.logLevel }, { write: (line) => void logged.push(JSON.parse(line)) })
  try {
    const server = await startServer(loaded.config, { log })
    onTestFinished(() => server.close())
    return { ...server, logged }
  } catch (error) {
    throw Object.assign(error as Error, { logged })
  }
}

async function publish(url: string, group: string, n: number): Promise<string> {
  const response = await fetch(`${url}/api/groups/${group}/messages`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ type: 'n', n }),
  })
  expect(response.status).toBe(200)
  return ((await response.json()) as { cursor: string }).cursor
}

async function heard(client: HistoryClient, wanted: readonly (string | number)[]): Promise<void> {
  await until(`${client.heard} has as much as ${wanted}`, () => client.heard.length >= wanted.length)
  expect(client.heard).toEqual(wanted.map(String))
}

const epochOf = (cursor: string) => cursor.split('.')[0]

describe('a server that starts again on its journal', () => {
  test('has the history, the epoch and the numbers of before', async () => {
    const directory = join(newDirectory(), 'made', 'for it')
    const one = await startOn(directory)
    const cursor = await publish(one.url, 'a', 1)
    const client = await connect('sse', one.url, { groups: ['a', 'b'], cursor })
    await publish(one.url, 'a', 2)
    await publish(one.url, 'none.x', 0)
    await heard(client, [2])
    await publish(one.url, 'b', 3)
    await one.close()

    const two = await startOn(directory)
    const back = await connect('sse', two.url, { groups: ['a', 'b'], cursor: client.cursors[0] ?? '' })
    const next = await publish(two.url, 'a', 4)
    await heard(back, [3, 4])
    expect(epochOf(next)).toBe(epochOf(cursor))
    const cursors = [cursor, ...back.cursors]
    expect(new Set(cursors).size).toBe(cursors.length)
    expect(two.hub.stats).toMatchObject({ resumed: 1, resets: 0, recalled: 1 })
    expect([one.logged, two.logged]).toEqual([[], []])
  })

  test('that was closed is whole even where nobody can tell what ended the process', async () => {
    const directory = newDirectory()
    const server = await startOn(directory)
    const cursor = await publish(server.url, 'a', 1)
    await publish(server.url, 'a', 2)
    await server.close()
    // Another boot: of a journal that was not closed, nothing would be taken.
    const { layer, errors } = await openLayer(directory, { boot: 'another' })
    const { publications } = await layer.replay({ groups: new Map([['a', null]]), after: cursor })
    expect(publications.map(({ publication }) => JSON.parse(publication.json).n)).toEqual([2])
    expect(errors).toEqual([])
    await layer.close()
  })

  test('restores all that maxHistoryBytes held, and takes at most three times as much on the disk', async () => {
    const directory = newDirectory()
    const maxHistoryBytes = 1024 * 1024
    const more = { groups: [{ match: '*', history: { bytes: 100_000_000, count: 1000 } }], maxHistoryBytes }
    const held = ({ hub }: RunningServer) =>
      Promise.all(['g0', 'g1', 'g2'].map((group) => hub.history(group, { limit: 1000 })))
    const one = await startOn(directory, more)
    const pad = 'x'.repeat(10_000)
    for (let batch = 0; batch < 60; batch++) {
      const sizes = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
      await Promise.all(sizes.map((n) => one.hub.groupSend(`g${n % 3}`, { type: 'n', n, pad })))
      const files = readdirSync(directory).map((name) => statSync(join(directory, name)).size)
      // And one write more.
      expect(files.reduce((sum, size) => sum + size, 0)).toBeLessThan(3 * maxHistoryBytes + 110_000)
    }
    const before = await held(one)
    expect(before.map(({ messages }) => messages.length).reduce((sum, n) => sum + n)).toBeGreaterThan(90)
    await one.close()
    expect(await held(await startOn(directory, more))).toEqual(before)
  })
})

describe('what is wrong with a journal', () => {
  test('damage is logged once, as a warning, and clients are reset', async () => {
    const directory = newDirectory()
    const one = await startOn(directory)
    const cursor = await publish(one.url, 'a', 1)
    await one.close()
    const [log = ''] = readdirSync(directory).filter((name) => name.endsWith('.log'))
    const bytes = readFileSync(join(directory, log))
    bytes.writeUInt8(bytes.readUInt8(bytes.length >> 1) ^ 1, bytes.length >> 1)
    writeFileSync(join(directory, log), bytes)

    const two = await startOn(directory)
    expect(two.logged).toMatchObject([
      { level: pino.levels.values.warn, code: 'journal-damaged', where: 'layer' },
    ])
    expect(two.logged[0]?.msg).toContain(directory)
    const client = await connect('sse', two.url, { groups: ['a'], cursor })
    await publish(two.url, 'a', 2)
    await heard(client, ['reset a', 2])
    expect(two.hub.stats).toMatchObject({ resumed: 1, resets: 1, recalled: 0 })
    expect(two.logged).toHaveLength(1)
  })

  test('another server has it: this one does not start, says so to its caller alone, and disturbs nobody', async () => {
    const directory = newDirectory()
    const one = await startOn(directory)
    const cursor = await publish(one.url, 'a', 1)
    const port = await freePort()
    await expect(startOn(directory, { port })).rejects.toMatchObject({ code: 'journal-in-use', logged: [] })
    await expect(fetch(`http://127.0.0.1:${port}/health`)).rejects.toThrow()
    const client = await connect('sse', one.url, { groups: ['a'], cursor })
    await publish(one.url, 'a', 2)
    await heard(client, [2])
    await one.close()
    const two = await startOn(directory, { port })
    const back = await connect('sse', two.url, { groups: ['a'], cursor })
    await heard(back, [2])
  })

  test('a directory that cannot be used: it does not start', async () => {
    const file = join(newDirectory(), 'file')
    writeFileSync(file, '')
    // Node's own way to make directories never comes back from this one.
    for (const path of [file, join(file, 'below'), '/proc/nowhere']) {
      await expect(startOn(path)).rejects.toMatchObject({
        code: 'invalid-option',
        message: expect.stringContaining(`${path} cannot be used`),
        logged: [],
      })
    }
  })

  test('a server that cannot listen lets its journal go', async () => {
    const directory = newDirectory()
    const one = await startOn(newDirectory())
    const port = Number(new URL(one.url).port)
    await expect(startOn(directory, { port })).rejects.toMatchObject({ code: 'EADDRINUSE' })
    await startOn(directory)
  })
})

/** A port on which nobody listens. */
async function freePort(): Promise<number> {
  const server = createServer()
  const url = await listen(server)
  await stop(server)
  return Number(new URL(url).port)
}

describe('groupcast serve --journal', () => {
  afterEach(endRuns)

  async function serve(cwd: string) {
    const env = { GROUPCAST_GROUPS: JSON.stringify(GROUPS) }
    const run = startProcess(['serve', '--port', '0', '--journal', './data'], { cwd, env })
    let stdout = ''
    run.process.stdout.on('data', (text) => {
      stdout += text
    })
    const line = /^groupcast listening on (\S+)\n$/
    await within('the server to listen', run.until('stdout', line))
    await until('the line is here too', () => line.test(stdout))
    return { ...run, url: line.exec(stdout)?.[1] ?? '' }
  }

  test('killed in the middle of its work, it has all that it had acknowledged when it starts again', async () => {
    const cwd = newDirectory()
    const all = new Map<string, number>()
    let first = ''
    for (let run = 0; run < 3; run++) {
      const { url, process, outcome } = await serve(cwd)
      if (run === 0) {
        first = await publish(url, 'a', -1)
      } else {
        await assertResumes(url, first, all)
      }
      const client = await connect('sse', url, { groups: ['a'] })
      let n = run * 10_000
      const publishing = Array.from({ length: 4 }, async () => {
        for (;;) {
          const mine = n++
          all.set(await publish(url, 'a', mine), mine)
        }
      })
      for (const one of publishing) one.catch(() => {})
      await until('some are acknowledged', () => all.size > 50 * (run + 1))
      process.kill('SIGKILL')
      expect((await within('the process to end', outcome)).code).toBe(null)
      await Promise.allSettled(publishing)
      // Nobody has seen what was not in the journal.
      for (const [index, cursor] of client.cursors.entries()) {
        all.set(cursor ?? '', Number(client.heard[index]))
      }
    }
    const { url, process, outcome } = await serve(cwd)
    await assertResumes(url, first, all)
    process.kill('SIGTERM')
    const { code, stderr } = await within('the process to end', outcome)
    expect(code).toBe(0)
    // What a kill may leave is a record that was not finished; anything else is a failure.
    for (const line of stderr.split('\n').filter((text) => text !== '')) {
      expect(JSON.parse(line)).toMatchObject({ level: 40, msg: expect.stringContaining('nothing is lost') })
    }
    expect(new Set([...all.keys()].map(epochOf))).toEqual(new Set([epochOf(first)]))
    // Closed by the signal: nothing needs to be said of it any more.
    const again = await serve(cwd)
    await assertResumes(again.url, first, all)
    again.process.kill('SIGTERM')
    expect(await within('the process to end', again.outcome)).toMatchObject({ code: 0, stderr: '' })
  })

  /** A client with the first cursor gets all that is known to be accepted, in order, once, and no reset. */
  async function assertResumes(url: string, cursor: string, all: ReadonlyMap<string, number>) {
    const client = await connect('sse', url, { groups: ['a'], cursor })
    const wanted = [...all.keys()].sort((a, b) => sequenceOf(a) - sequenceOf(b))
    const last = wanted.at(-1) ?? ''
    await until('it has the last', () => client.cursors.includes(last))
    const got = new Map(client.cursors.map((one, index) => [one ?? '', client.heard[index]]))
    expect(got.size).toBe(client.heard.length)
    for (const one of wanted) expect(got.get(one), one).toBe(String(all.get(one)))
    const sequences = client.cursors.map((one) => sequenceOf(one ?? ''))
    expect(sequences).toEqual([...sequences].sort((a, b) => a - b))
    // Those of which nobody heard are at most what was under way.
    expect(got.size - wanted.length).toBeLessThanOrEqual(4 * 3)
    client.close()
  }

  const sequenceOf = (cursor: string) => Number(cursor.split('.')[1])
})
