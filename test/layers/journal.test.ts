import { spawnSync } from 'node:child_process'
import { closeSync, openSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { systemFiles } from '../../src/layers/file-journal/files.ts'
import { fileJournal } from '../../src/layers/file-journal/index.ts'
import { memoryBroker, memoryLayer } from '../../src/layers/memory.ts'
import { manualClock } from '../../src/testing/manual-clock.ts'
import { Accepted, BOUNDS, jsonOf, newDirectory, openLayer } from './journal-support.ts'

const locksIn = (directory: string) => readdirSync(directory).filter((name) => name.endsWith('.lock'))

/** Makes it look as if nobody had it: what a process leaves that was killed. */
function removeLock(directory: string): void {
  for (const name of locksIn(directory)) rmSync(join(directory, name))
}

const noSink = { deliver() {}, receive: () => true, status() {} }

describe('a restart', () => {
  test.each([
    ['after close', true],
    ['without it', false],
  ])('%s keeps history, epoch and cursors', async (_, isClosed) => {
    const directory = newDirectory()
    const model = new Accepted()
    for (let run = 0; run < 4; run++) {
      // A process that was killed holds no lock.
      if (!isClosed) removeLock(directory)
      const { layer, errors } = await openLayer(directory)
      expect(await model.check(layer)).toBe(0)
      for (let n = 0; n < 10; n++) await model.send(layer, n % 2 === 0 ? 'a' : 'b', jsonOf(n))
      expect(errors).toEqual([])
      if (isClosed) await layer.close()
    }
    expect(new Set(model.all.map(({ cursor }) => cursor.split('.')[0])).size).toBe(1)
    expect(model.all.at(-1)?.cursor).toMatch(/\.40$/)
  })

  test('counts ages by the time of day', async () => {
    const directory = newDirectory()
    let now = 1e12
    const timeOfDay = () => now
    const historyOf = () => ({ ...BOUNDS, ageMs: 1000 })
    const one = await openLayer(directory, { timeOfDay }, { clock: manualClock(), historyOf })
    const cursor = await one.layer.groupSend('a', jsonOf(1))
    await one.layer.groupSend('a', jsonOf(2))
    await one.layer.close()
    now += 400
    const clock = manualClock()
    const two = await openLayer(directory, { timeOfDay }, { clock, historyOf })
    const replay = () => two.layer.replay({ groups: new Map([['a', null]]), after: cursor })
    clock.advance(599)
    expect((await replay()).publications).toHaveLength(1)
    clock.advance(1)
    expect(await replay()).toMatchObject({ publications: [], lost: ['a'] })
    await two.layer.close()
    now -= 1e9
    // Set back: nothing is from the future.
    const three = await openLayer(directory, { timeOfDay }, { clock: manualClock(), historyOf })
    await three.layer.groupSend('a', jsonOf(3))
    await three.layer.close()
    expect(clock.pending).toBe(0)
  })

  test('with other bounds keeps no more than they allow', async () => {
    const directory = newDirectory()
    const model = new Accepted()
    const one = await openLayer(directory)
    for (let n = 0; n < 10; n++) await model.send(one.layer, 'a', jsonOf(n))
    await one.layer.close()
    const two = await openLayer(directory, {}, { historyOf: () => ({ ...BOUNDS, count: 3 }) })
    const { publications } = await two.layer.replay({ groups: new Map([['a', null]]), after: null })
    expect(publications.map(({ publication }) => publication.json)).toEqual([7, 8, 9].map((n) => jsonOf(n)))
    expect(await model.check(two.layer)).toBe(6)
    await two.layer.close()
  })

  test('with history off for a group, and one more with it on, has a hole in it: the group is lost', async () => {
    const directory = newDirectory()
    const one = await openLayer(directory)
    const cursor = await one.layer.groupSend('a', jsonOf(1))
    await one.layer.groupSend('a', jsonOf(2))
    const later = await one.layer.groupSend('b', jsonOf(3))
    await one.layer.close()
    const two = await openLayer(directory, {}, { historyOf: (group) => (group === 'a' ? null : BOUNDS) })
    expect(await two.layer.groupSend('a', jsonOf(4))).toBeNull()
    await two.layer.close()
    const three = await openLayer(directory)
    const groups = new Map([
      ['a', null],
      ['b', null],
    ])
    expect(await three.layer.replay({ groups, after: cursor })).toMatchObject({ lost: ['a'] })
    expect(await three.layer.replay({ groups, after: later })).toMatchObject({ lost: [], publications: [] })
    await three.layer.close()
  })

  test('of the machine begins a new epoch, unless each write was synchronised or the journal closed', async () => {
    for (const isSynced of [false, true]) {
      for (const isClosed of [false, true]) {
        const directory = newDirectory()
        const one = await openLayer(directory, { isSynced })
        const cursor = await one.layer.groupSend('a', jsonOf(1))
        if (isClosed) await one.layer.close()
        else removeLock(directory)
        const two = await openLayer(directory, { boot: 'another' })
        const { lost } = await two.layer.replay({ groups: new Map([['a', null]]), after: cursor })
        const isKept = isSynced || isClosed
        expect(lost).toEqual(isKept ? [] : ['a'])
        expect(two.errors.map(({ code }) => code)).toEqual(isKept ? [] : ['journal-damaged'])
        await two.layer.close()
      }
    }
  })

  test('after flush does not bring back what was flushed', async () => {
    const directory = newDirectory()
    const one = await openLayer(directory)
    const before = await one.layer.groupSend('a', jsonOf(1))
    const sending = one.layer.groupSend('a', jsonOf(2))
    await one.layer.flush()
    await sending
    const after = await one.layer.groupSend('a', jsonOf(3))
    await one.layer.close()
    const two = await openLayer(directory)
    const groups = new Map([['a', null]])
    expect(await two.layer.replay({ groups, after: before })).toMatchObject({ lost: ['a'] })
    expect(await two.layer.replay({ groups, after })).toMatchObject({ lost: [], publications: [] })
    expect((await two.layer.replay({ groups, after: null })).publications).toHaveLength(1)
    await two.layer.close()
  })

  test('keeps texts and names of every kind', async () => {
    const directory = newDirectory()
    const hostile = ['"\ud800"', '"\udc00x"', '"\u0000\r\n"', '"é😀"', `"${'x'.repeat(1024 * 1024)}"`]
    const names = ['__proto__', 'constructor', 'é😀', 'x'.repeat(255)]
    const one = await openLayer(directory, { maxBytes: 64 * 1024 * 1024 })
    for (const group of names) for (const json of hostile) await one.layer.groupSend(group, json)
    await one.layer.close()
    const two = await openLayer(directory)
    for (const group of names) {
      const { publications } = await two.layer.replay({ groups: new Map([[group, null]]), after: null })
      expect(publications.map(({ publication }) => publication.json)).toEqual(hostile)
    }
    await two.layer.close()
  })
})

describe('publications', () => {
  test('of one turn are written by one write, before any node has them', async () => {
    const log: string[] = []
    let seen = () => 0
    const files = {
      ...systemFiles,
      write(file: number, bytes: Uint8Array) {
        log.push(`write ${seen()}`)
        systemFiles.write(file, bytes)
      },
    }
    const { layer, delivered } = await openLayer(newDirectory(), { files })
    seen = () => delivered.length
    await layer.groupAdd('a')
    log.length = 0
    await Promise.all(Array.from({ length: 100 }, (_, n) => layer.groupSend('a', jsonOf(n))))
    expect(log).toEqual(['write 0'])
    expect(delivered).toHaveLength(100)
    await layer.close()
  })

  test.each([false, true])(
    'keep their order across groups with and without history (synchronised: %s)',
    async (isSynced) => {
      const historyOf = (group: string) => (group === 'quick' ? null : BOUNDS)
      const { layer, delivered } = await openLayer(newDirectory(), { isSynced }, { historyOf })
      for (const group of ['quick', 'a']) await layer.groupAdd(group)
      const sending: Promise<unknown>[] = []
      for (let n = 0; n < 60; n++) {
        sending.push(layer.groupSend(n % 3 === 0 ? 'a' : 'quick', jsonOf(n)))
        if (n % 20 === 19) await new Promise((resolve) => setImmediate(resolve))
      }
      await Promise.all(sending)
      expect(delivered.map(({ publication }) => publication.json)).toEqual(
        Array.from({ length: 60 }, (_, n) => jsonOf(n)),
      )
      await layer.close()
    },
  )

  test('are in no replay before they are in the journal', async () => {
    let go = () => {}
    const sync = () =>
      new Promise<void>((resolve) => {
        go = resolve
      })
    let isSlow = false
    const files = { ...systemFiles, sync: (file: number) => (isSlow ? sync() : systemFiles.sync(file)) }
    const { layer, delivered } = await openLayer(newDirectory(), { isSynced: true, files })
    await layer.groupAdd('a')
    isSlow = true
    const first = layer.groupSend('a', jsonOf(1))
    await Promise.resolve()
    const second = layer.groupSend('a', jsonOf(2))
    await new Promise((resolve) => setImmediate(resolve))
    const replay = () => layer.replay({ groups: new Map([['a', null]]), after: null })
    expect((await replay()).publications).toEqual([])
    expect(delivered).toEqual([])
    go()
    await first
    expect((await replay()).publications).toHaveLength(1)
    isSlow = false
    go()
    const closing = layer.close()
    await new Promise((resolve) => setImmediate(resolve))
    go()
    // What was sent before it was closed is accepted.
    expect(await second).toMatch(/\.2$/)
    await closing
  })

  test('without history go straight to the nodes while nothing waits', async () => {
    const { layer, delivered } = await openLayer(newDirectory(), {}, { historyOf: () => null })
    await layer.groupAdd('a')
    void layer.groupSend('a', jsonOf(1))
    expect(delivered).toHaveLength(1)
    await layer.close()
  })
})

describe('the directory', () => {
  test('belongs to one layer at a time, and to the next one when that is closed', async () => {
    const directory = newDirectory()
    const one = await openLayer(directory)
    await expect(openLayer(directory)).rejects.toMatchObject({ code: 'journal-in-use' })
    await one.layer.groupSend('a', jsonOf(1))
    await one.layer.close()
    const two = await openLayer(directory)
    expect(
      (await two.layer.replay({ groups: new Map([['a', null]]), after: null })).publications,
    ).toHaveLength(1)
    await two.layer.close()
  })

  test('that a killed process had belongs to one of those who come', async () => {
    let winners = 0
    for (let round = 0; round < 10; round++) {
      const directory = newDirectory()
      const script = `require('net').createServer().listen(${JSON.stringify(join(directory, 'journal-0123abcd.lock'))}, () => process.kill(process.pid, 'SIGKILL'))`
      expect(spawnSync(process.execPath, ['-e', script]).signal).toBe('SIGKILL')
      expect(readdirSync(directory)).toEqual(['journal-0123abcd.lock'])
      const opened = await Promise.allSettled([1, 2, 3].map(() => openLayer(directory)))
      const mine = opened.filter((one) => one.status === 'fulfilled')
      expect(mine.length).toBeLessThanOrEqual(1)
      winners += mine.length
      for (const one of opened) {
        if (one.status === 'rejected') expect(one.reason).toMatchObject({ code: 'journal-in-use' })
      }
      await mine[0]?.value.layer.close()
      expect(locksIn(directory)).toEqual(mine.length === 1 ? [] : ['journal-0123abcd.lock'])
    }
    // All of them may find that they are not alone; hardly ever all the time.
    expect(winners).toBeGreaterThan(5)
  })

  test('holds no more bytes than it may, whatever is kept and published', async () => {
    const directory = newDirectory()
    const maxBytes = 60_000
    const one = await openLayer(directory, { maxBytes })
    let most = 0
    let batch = 0
    for (let n = 0; n < 600; n++) {
      // More groups than a base can hold, while one of them is busy.
      const sends = [`g${n % 300}`, 'busy'].map((group) => one.layer.groupSend(group, jsonOf(n, 100)))
      batch = Math.max(batch, sends.length * 220)
      await Promise.all(sends)
      if (n % 7 === 0) await new Promise((resolve) => setImmediate(resolve))
      const sizes = readdirSync(directory).map((name) => statSync(join(directory, name)).size)
      most = Math.max(
        most,
        sizes.reduce((sum, size) => sum + size, 0),
      )
    }
    expect(one.errors).toEqual([])
    expect(most).toBeLessThan(maxBytes + batch)
    expect(most).toBeGreaterThan(maxBytes / 2)
    const { position } = one.layer
    await one.layer.close()
    const two = await openLayer(directory, { maxBytes })
    // The quiet ones had to go, and are not taken for empty.
    const groups = new Map([['g0', null]])
    expect(await two.layer.replay({ groups, after: `${position?.split('.')[0]}.1` })).toMatchObject({
      lost: ['g0'],
    })
    expect(await two.layer.replay({ groups: new Map([['busy', null]]), after: position })).toMatchObject({
      lost: [],
    })
    await two.layer.close()
  })

  test('is let go of, descriptors too, when it closes', async () => {
    const directory = newDirectory()
    const descriptors = () => readdirSync('/proc/self/fd').length
    await (await openLayer(directory)).layer.close()
    const before = descriptors()
    for (let n = 0; n < 20; n++) {
      const { layer } = await openLayer(directory)
      await layer.groupSend('a', jsonOf(n))
      await layer.close()
    }
    expect(descriptors()).toBeLessThanOrEqual(before)
    expect(readdirSync(directory)).toHaveLength(2)
  })

  test('is readable for its owner alone', async () => {
    const directory = newDirectory()
    const { layer } = await openLayer(directory)
    for (const name of readdirSync(directory).filter((name) => !name.endsWith('.lock'))) {
      expect(statSync(join(directory, name)).mode & 0o777).toBe(0o600)
    }
    await layer.close()
  })

  test('that cannot be one stops the start, and says why', async () => {
    const directory = newDirectory()
    writeFileSync(join(directory, 'file'), '')
    const start = openLayer(join(directory, 'file'))
    await expect(start).rejects.toMatchObject({
      code: 'invalid-option',
      message: expect.stringContaining('EEXIST'),
    })
    const long = openLayer(join(directory, 'x'.repeat(120)))
    await expect(long).rejects.toMatchObject({
      code: 'invalid-option',
      message: expect.stringContaining('longer'),
    })
  })

  test('may be shared by the layers of one broker', async () => {
    const directory = newDirectory()
    const historyOf = () => BOUNDS
    for (const expected of [1, 2]) {
      const broker = memoryBroker({ journal: fileJournal({ directory }) })
      const [one, two] = [memoryLayer({ broker }), memoryLayer({ broker })]
      await Promise.all([
        one.start({ nodeId: 'one', sink: noSink, historyOf }),
        two.start({ nodeId: 'two', sink: noSink, historyOf }),
      ])
      await one.groupSend('a', jsonOf(1))
      await one.close()
      const { publications } = await two.replay({ groups: new Map([['a', null]]), after: null })
      expect(publications).toHaveLength(expected)
      await two.close()
      const three = memoryLayer({ broker })
      await three.start({ nodeId: 'three', sink: noSink, historyOf })
      const again = await three.replay({ groups: new Map([['a', null]]), after: null })
      expect(again.publications).toHaveLength(expected)
      const closing = three.close()
      // Before that has let the journal go.
      const four = memoryLayer({ broker })
      await four.start({ nodeId: 'four', sink: noSink, historyOf })
      expect((await four.replay({ groups: new Map([['a', null]]), after: null })).publications).toHaveLength(
        expected,
      )
      await Promise.all([closing, four.close()])
    }
  })

  test('of a journal of another version is left alone', async () => {
    const directory = newDirectory()
    await (await openLayer(directory)).layer.close()
    const { Encoder } = await import('../../src/layers/file-journal/format.ts')
    const encoder = new Encoder()
    encoder.about({ kind: 'base', epoch: 'e', boot: null, isSynced: false, version: 2 } as never)
    const file = openSync(join(directory, 'journal-99.base'), 'w')
    systemFiles.write(file, encoder.take())
    closeSync(file)
    await expect(openLayer(directory)).rejects.toMatchObject({
      code: 'invalid-option',
      message: expect.stringContaining('version'),
    })
    expect(readdirSync(directory)).toContain('journal-1.log')
  })
})

describe('a layer', () => {
  test('that closes while it starts lets the journal go', async () => {
    const directory = newDirectory()
    const layer = memoryLayer({ journal: fileJournal({ directory }) })
    const starting = layer.start({ nodeId: 'one', sink: noSink, historyOf: () => BOUNDS })
    expect(layer.position).toBeNull()
    const closing = layer.close()
    await expect(starting).rejects.toMatchObject({ code: 'hub-closed' })
    await closing
    await (await openLayer(directory)).layer.close()
  })

  test('has a journal of its own', async () => {
    const journal = fileJournal({ directory: newDirectory() })
    const [one, two] = [memoryLayer({ journal }), memoryLayer({ journal })]
    await one.start({ nodeId: 'one', sink: noSink, historyOf: () => BOUNDS })
    await expect(two.start({ nodeId: 'two', sink: noSink, historyOf: () => BOUNDS })).rejects.toThrow(
      /one of its own/,
    )
    await one.close()
  })
})

test.each([
  [{}, 'directory'],
  [{ directory: '' }, 'directory'],
  [{ directory: 'x', maxBytes: 5 }, 'maxBytes: 5'],
  [{ directory: 'x', sync: 'sometimes' }, 'sync: "sometimes"'],
  [{ directory: 'x', size: 5 }, '"size"'],
])('options %o are refused', (options, text) => {
  expect(() => fileJournal(options as never)).toThrow(
    expect.objectContaining({ code: 'invalid-option', message: expect.stringContaining(text) }),
  )
})
