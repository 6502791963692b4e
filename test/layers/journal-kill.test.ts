/** A process that is killed with SIGKILL at any moment, again and again: what it acknowledged is there. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { fileJournal } from '../../src/layers/file-journal/index.ts'
import { memoryLayer } from '../../src/layers/memory.ts'
import { newDirectory } from './journal-support.ts'

const CHILD = new URL('./journal-child.mjs', import.meta.url).pathname
const RUNS = 8
/** Fewer than a group keeps, less what may not be acknowledged yet. */
const SURE = 100

const sizeOf = (path: string) => (existsSync(path) ? statSync(path).size : 0)

interface Line {
  readonly group: string
  readonly cursor: string
  readonly id: string
}

function linesOf(path: string): Line[] {
  const text = readFileSync(path, 'utf8')
  // The last line may be cut: that one was not heard.
  return text
    .slice(0, text.lastIndexOf('\n'))
    .split('\n')
    .map((line) => {
      const [group = '', cursor = '', id = ''] = line.split(' ')
      expect(group, line).toMatch(/^[abcd]$/)
      return { group, cursor, id }
    })
}

async function killSometime(child: ChildProcess, path: string, random: () => number): Promise<void> {
  const exit = once(child, 'exit')
  const from = sizeOf(path)
  const until = from + 1 + Math.floor(random() * 60_000)
  while (sizeOf(path) < until) {
    if (child.exitCode !== null) throw new Error(`the child ended with ${child.exitCode}`)
    await delay(1)
  }
  await delay(random() * 3)
  child.kill('SIGKILL')
  await exit
}

test.each(['none', 'always'])(
  'nothing that was acknowledged is lost by kill -9 (sync: %s)',
  async (sync) => {
    const seed = Number(process.env.JOURNAL_SEED ?? Math.floor(Math.random() * 2 ** 31))
    console.error(`journal-kill, sync ${sync}: JOURNAL_SEED=${seed}`)
    let state = seed
    const random = () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0
      return state / 2 ** 32
    }
    const directory = join(newDirectory(), 'data')
    const path = join(newDirectory(), 'acknowledged')
    writeFileSync(path, '')
    for (let run = 0; run < RUNS; run++) {
      const child = spawn(process.execPath, [CHILD, directory, path, String(run), sync], {
        stdio: ['ignore', 'inherit', 'inherit'],
      })
      onTestFinished(() => void child.kill('SIGKILL'))
      await killSometime(child, path, random)
      const lines = linesOf(path)
      const cursors = new Set(lines.map(({ cursor }) => cursor))
      expect(cursors.size, 'a cursor was given twice').toBe(lines.length)
      expect(new Set(lines.map(({ cursor }) => cursor.split('.')[0])).size, 'epochs').toBe(1)
      // The other times the next process is the first that sees what this one left.
      if (run % 2 === 1) await assertKept(directory, lines)
    }
  },
  120_000,
)

async function assertKept(directory: string, lines: readonly Line[]): Promise<void> {
  const layer = memoryLayer({ journal: fileJournal({ directory, maxBytes: 4 * 1024 * 1024 }) })
  const errors: Error[] = []
  const sink = {
    deliver() {},
    receive: () => true,
    status() {},
    report: (error: unknown) => void errors.push(error as Error),
  }
  await layer.start({ nodeId: 'test', sink, historyOf: () => ({ count: 200, ageMs: 1e8, bytes: 1e6 }) })
  const known = new Set(lines.map(({ cursor, id }) => `${cursor} ${id}`))
  for (const group of 'abcd') {
    const mine = lines.filter((line) => line.group === group).slice(-SURE)
    for (const index of [0, 1, mine.length >> 1, mine.length - 1]) {
      const after = mine[index]?.cursor ?? ''
      const { lost, publications } = await layer.replay({ groups: new Map([[group, null]]), after })
      expect(lost).toEqual([])
      const got = publications.map(({ publication: { json, cursor } }) => `${cursor} ${JSON.parse(json).id}`)
      const expected = mine.slice(index + 1).map(({ cursor, id }) => `${cursor} ${id}`)
      expect(got.filter((one) => known.has(one))).toEqual(expected)
      // Each process that was killed may have left a batch of which nobody was told.
      expect(got.length - expected.length).toBeLessThanOrEqual(8 * RUNS)
    }
  }
  for (const { message } of errors) expect(message).toMatch(/^\d+ bytes of a record that was not finished/)
  await layer.close()
}
