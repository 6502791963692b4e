/** What recovery makes of files that were cut, changed or left by a process that ended anywhere. */
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  Accepted,
  BOUNDS,
  Cut,
  failingFiles,
  GROUPS,
  jsonOf,
  newDirectory,
  openLayer,
} from './journal-support.ts'

/** Publications enough for a base and a log, in a directory that nobody has any more. */
async function written(count = 24) {
  const directory = newDirectory()
  const model = new Accepted()
  const one = await openLayer(directory)
  for (let n = 0; n < count / 2; n++) await model.send(one.layer, GROUPS[n % 3] ?? 'a', jsonOf(n))
  await one.layer.close()
  const two = await openLayer(directory)
  // One batch of several, too.
  for (let n = count / 2; n < count; n += 3) {
    await Promise.all([0, 1, 2].map((add) => model.send(two.layer, GROUPS[add] ?? 'a', jsonOf(n + add))))
  }
  const copy = newDirectory()
  cpSync(directory, copy, { recursive: true, filter: (path) => !path.endsWith('.lock') })
  await two.layer.close()
  return { directory: copy, model }
}

function copyOf(directory: string, change: (name: string, bytes: Buffer) => Buffer | null): string {
  const copy = newDirectory()
  for (const name of readdirSync(directory)) {
    const bytes = change(name, readFileSync(join(directory, name)))
    if (bytes !== null) writeFileSync(join(copy, name), bytes)
  }
  return copy
}

const isLog = (name: string) => name.endsWith('.log')

/** The model when only the first `count` publications were accepted. */
function shortened(model: Accepted, count: number): Accepted {
  const short = new Accepted()
  short.all.push(...model.all.slice(0, count))
  return short
}

describe('a log that was cut', () => {
  test('at any byte gives all that was whole, in the same epoch, and says how much was cut', async () => {
    const { directory, model } = await written()
    const [log = ''] = readdirSync(directory).filter(isLog)
    const { length } = readFileSync(join(directory, log))
    let whole = -1
    for (let end = 0; end <= length; end += end > 200 && end < length - 200 ? 7 : 1) {
      const cut = copyOf(directory, (name, bytes) => (isLog(name) ? bytes.subarray(0, end) : bytes))
      const { layer, errors } = await openLayer(cut)
      const sequence = Number(layer.position?.split('.')[1])
      // The base has the first half.
      expect(sequence).toBeGreaterThanOrEqual(Math.max(whole, model.all.length / 2))
      whole = sequence
      const short = shortened(model, sequence)
      expect(await short.check(layer, 3)).toBe(0)
      if (errors.length > 0) expect(errors).toMatchObject([{ code: 'journal-damaged' }])
      if (end === length - 1)
        expect(errors[0]?.message).toMatch(/bytes of a record .* cut from journal-2\.log at \d+/)
      // And goes on above what was seen.
      await short.send(layer, 'a', jsonOf(99))
      await layer.close()
      rmSync(cut, { recursive: true })
    }
    expect(whole).toBe(model.all.length)
  }, 60_000)

  test('and followed by zeros is the same', async () => {
    const { directory, model } = await written()
    const cut = copyOf(directory, (name, bytes) =>
      isLog(name) ? Buffer.concat([bytes.subarray(0, -5), Buffer.alloc(5)]) : bytes,
    )
    const grown = copyOf(directory, (name, bytes) =>
      isLog(name) ? Buffer.concat([bytes, Buffer.alloc(5000)]) : bytes,
    )
    const one = await openLayer(grown)
    expect(await model.check(one.layer)).toBe(0)
    expect(one.errors).toMatchObject([{ code: 'journal-damaged' }])
    await one.layer.close()
    // A record with zeros in it is no record that was not finished.
    const two = await openLayer(cut)
    expect(await model.check(two.layer)).toBe(model.all.length * GROUPS.length)
    await two.layer.close()
  })
})

test('a byte changed anywhere never gives anything but the truth, or nothing', async () => {
  const { directory, model } = await written(12)
  const names = readdirSync(directory).filter((name) => name.startsWith('journal-'))
  const sizes = names.map((name) => readFileSync(join(directory, name)).length)
  let whole = 0
  await fc.assert(
    fc.asyncProperty(
      fc
        .nat({ max: names.length - 1 })
        .chain((file) => fc.tuple(fc.constant(file), fc.nat({ max: (sizes[file] ?? 1) - 1 }))),
      fc.integer({ min: 1, max: 255 }),
      async ([file, offset], change) => {
        const changed = copyOf(directory, (name, bytes) => {
          if (name === names[file]) bytes[offset] = (bytes[offset] ?? 0) ^ change
          return bytes
        })
        const { layer, errors } = await openLayer(changed)
        const lost = await model.check(layer)
        if (lost === 0) whole++
        else {
          expect(lost).toBe(model.all.length * GROUPS.length)
          expect(errors).toMatchObject([{ code: 'journal-damaged' }])
        }
        await model.check(layer)
        await layer.close()
        rmSync(changed, { recursive: true })
      },
    ),
    { numRuns: 150 },
  )
  // Every byte counts.
  expect(whole).toBe(0)
}, 60_000)

test.each([/\.base$/, /\.log$/])('a file that is missing (%s) makes nothing look whole', async (missing) => {
  const { directory, model } = await written()
  const changed = copyOf(directory, (name, bytes) => (missing.test(name) ? null : bytes))
  const { layer } = await openLayer(changed)
  const lost = await model.check(layer, 1).catch(() => 'not the truth')
  // Without its log the base is as it was when it was written: nobody removes a file for us.
  if (missing.test('x.base')) expect(lost).toBe(model.all.length * GROUPS.length)
  await layer.close()
})

describe('a process that ends at any step', () => {
  const historyOf = () => ({ ...BOUNDS, count: 15 })

  /** A load with a small journal, so that logs and bases follow each other. */
  async function run(directory: string, at: number, isTorn: boolean, isSynced: boolean, seed: number) {
    const { files, state } = failingFiles(at, { isTorn })
    const model = new Accepted()
    let random = seed
    const next = (below: number) => {
      random = (random * 1103515245 + 12345) % 2 ** 31
      return random % below
    }
    try {
      const { layer, errors } = await openLayer(
        directory,
        { files, isSynced, maxBytes: 60_000 },
        { historyOf },
      )
      for (let n = 0; n < 120; n++) {
        const batch = Array.from({ length: 1 + next(3) }, (_, add) => ({
          group: GROUPS[next(3)] ?? 'a',
          json: jsonOf(n * 10 + add, next(300)),
        }))
        model.pending = batch
        await Promise.all(batch.map(({ group, json }) => model.send(layer, group, json)))
        // The process is dead from here on; what it did in memory is of no account.
        if (state.isOver) {
          model.all.splice(model.all.length - batch.length)
          break
        }
        model.pending = []
        if (next(4) === 0) await new Promise((resolve) => setImmediate(resolve))
      }
      if (!state.isOver) expect(errors).toEqual([])
      return { model, isOver: state.isOver, layer }
    } catch (error) {
      if (!(error instanceof Cut)) throw error
      return { model, isOver: true, layer: null }
    }
  }

  test.each([
    [false, false],
    [true, false],
    [false, true],
  ])(
    'keeps all that was accepted (torn: %s, synchronised: %s)',
    async (isTorn, isSynced) => {
      let isOver = true
      let at = 0
      let compactions = 0
      for (; isOver; at++) {
        const directory = newDirectory()
        const result = await run(directory, at, isTorn, isSynced, 7)
        isOver = result.isOver
        const copy = newDirectory()
        cpSync(directory, copy, { recursive: true, filter: (path) => !path.endsWith('.lock') })
        compactions = Math.max(
          compactions,
          ...readdirSync(copy).map((name) => Number(/\d+/.exec(name)?.[0] ?? 0)),
        )
        await result.layer?.close()
        const { layer } = await openLayer(copy, {}, { historyOf })
        const { model } = result
        // Up to three that are not known to be accepted may have pushed out as many.
        expect(await model.check(layer, 5, 12), `lost at step ${at}`).toBe(0)
        const sequence = Number(layer.position?.split('.')[1])
        expect(sequence).toBeGreaterThanOrEqual(model.all.length)
        expect(sequence).toBeLessThanOrEqual(model.all.length + model.pending.length)
        await layer.close()
        rmSync(directory, { recursive: true })
        rmSync(copy, { recursive: true })
      }
      expect(at).toBeGreaterThan(60)
      expect(compactions).toBeGreaterThan(3)
    },
    120_000,
  )
})

test('many restarts, kills and loads end in what a list would have', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.record({
          sends: fc.array(fc.tuple(fc.constantFrom(...GROUPS), fc.nat({ max: 900 })), { maxLength: 40 }),
          isClosed: fc.boolean(),
          isSynced: fc.boolean(),
          pauseEvery: fc.integer({ min: 1, max: 10 }),
        }),
        { minLength: 1, maxLength: 5 },
      ),
      fc.integer({ min: 6_000, max: 400_000 }),
      async (runs, maxBytes) => {
        let directory = newDirectory()
        const model = new Accepted()
        let n = 0
        for (const { sends, isClosed, isSynced, pauseEvery } of runs) {
          const { layer, errors } = await openLayer(directory, { isSynced, maxBytes })
          const lost = await model.check(layer, 4)
          // A third of the bytes holds what is kept.
          if (maxBytes > 3 * 200 * 1000) expect(lost).toBe(0)
          for (const [index, [group, bytes]] of sends.entries()) {
            const sending = model.send(layer, group, jsonOf(n++, bytes))
            if (index % pauseEvery === 0) await sending
          }
          // What is under way is accepted before this.
          await model.send(layer, 'a', jsonOf(n++))
          await new Promise((resolve) => setImmediate(resolve))
          const copy = newDirectory()
          if (isClosed) await layer.close()
          cpSync(directory, copy, { recursive: true, filter: (path) => !path.endsWith('.lock') })
          await layer.close()
          expect(errors).toEqual([])
          rmSync(directory, { recursive: true })
          directory = copy
        }
        const { layer, errors } = await openLayer(directory)
        await model.check(layer, 2)
        expect(errors).toEqual([])
        await layer.close()
      },
    ),
    { numRuns: 25 },
  )
}, 120_000)
