/** A disk that takes no more: the journal ends, the hub and its history do not. */
import { spawnSync } from 'node:child_process'
import { closeSync, openSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { Files } from '../../src/layers/file-journal/files.ts'
import {
  Accepted,
  failingFiles,
  GROUPS,
  jsonOf,
  newDirectory,
  openLayer,
  quickFiles,
} from './journal-support.ts'

const CHANGES = [['write'], ['create'], ['sync'], ['rename']]

describe.each([false, true])('synchronised: %s; the disk', (isSynced) => {
  test.each(CHANGES)(
    'refuses a %s: publishing goes on, nothing is lost, and it is said once',
    async (...only) => {
      let isOver = true
      let failures = 0
      for (let at = 0; isOver; at++) {
        const directory = newDirectory()
        const { files, state } = failingFiles(at, { code: 'ENOSPC', isTorn: at % 2 === 0, only })
        const model = new Accepted()
        const one = await openLayer(directory, { files, isSynced, maxBytes: 60_000 })
        for (const group of GROUPS) await one.layer.groupAdd(group)
        for (let n = 0; n < 80; n++) {
          const sending = model.send(one.layer, GROUPS[n % 3] ?? 'a', jsonOf(n, 200))
          if (n % 3 === 0) await sending
          if (n % 10 === 0) await new Promise((resolve) => setImmediate(resolve))
        }
        await model.send(one.layer, 'a', jsonOf(80))
        await one.layer.groupSend('b', jsonOf(81)).then((cursor) => {
          model.all.push({ group: 'b', json: jsonOf(81), cursor: cursor ?? '' })
        })
        isOver = state.isOver
        // Nobody misses anything as long as the hub runs: those who are connected, and those who come back.
        expect(one.delivered.map(({ publication }) => publication)).toEqual(
          model.all.map(({ json, cursor }) => ({ json, cursor })),
        )
        expect(await model.check(one.layer, 7)).toBe(0)
        await one.layer.close()
        if (isOver) {
          failures++
          expect(one.errors).toMatchObject([
            { code: 'journal-failed', message: expect.stringContaining('ENOSPC') },
          ])
        } else {
          expect(one.errors).toEqual([])
        }
        // Whoever comes after the next start is told.
        const two = await openLayer(directory)
        const lost = await model.check(two.layer, 7)
        if (isOver && state.count <= at + 1) expect(lost).toBeGreaterThan(0)
        await two.layer.groupSend('a', jsonOf(1))
        await two.layer.close()
      }
      expect(failures).toBeGreaterThan(0)
    },
  )
})

test('a journal that can be neither written nor removed begins a new epoch', async () => {
  const directory = newDirectory()
  const { files } = failingFiles(12, { code: 'EIO' })
  const one = await openLayer(directory, { files })
  const cursors: string[] = []
  for (let n = 0; n < 10; n++) cursors.push((await one.layer.groupSend('a', jsonOf(n))) ?? '')
  const epochs = new Set(cursors.map((cursor) => cursor.split('.')[0]))
  expect(epochs.size).toBe(2)
  expect(await one.layer.replay({ groups: new Map([['a', null]]), after: cursors[0] ?? '' })).toMatchObject({
    lost: ['a'],
  })
  expect(one.errors).toMatchObject([{ code: 'journal-failed' }])
  await one.layer.close()
})

test('a system without descriptors only puts off a new log', async () => {
  let isOut = false
  const files: Files = {
    ...quickFiles,
    create(path) {
      if (isOut) throw Object.assign(new Error('EMFILE: too many open files'), { code: 'EMFILE' })
      return quickFiles.create(path)
    },
  }
  const directory = newDirectory()
  const model = new Accepted()
  const { layer, errors } = await openLayer(directory, { files, maxBytes: 60_000 })
  for (let n = 0; n < 150; n++) {
    isOut = n > 20 && n < 60
    await model.send(layer, 'a', jsonOf(n, 100))
  }
  expect(errors).toEqual([])
  expect(readdirSync(directory)).not.toContain('journal-1.log')
  await layer.close()
})

test('/dev/full refuses what is written to it', async () => {
  let isFull = false
  const full = openSync('/dev/full', 'w')
  onTestFinished(() => closeSync(full))
  const files: Files = {
    ...quickFiles,
    write: (file, bytes) => quickFiles.write(isFull ? full : file, bytes),
  }
  const { layer, errors } = await openLayer(newDirectory(), { files })
  isFull = true
  expect(await layer.groupSend('a', jsonOf(1))).toMatch(/\.1$/)
  expect(errors).toMatchObject([{ code: 'journal-failed', message: expect.stringContaining('ENOSPC') }])
  await layer.close()
})

/** A file system of its own, where this process may make one. */
function smallDisk(): string | null {
  const directory = newDirectory()
  if (process.getuid?.() !== 0) return null
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'none', directory]).status !== 0) return null
  onTestFinished(() => void spawnSync('umount', [directory]))
  return directory
}

test('a real disk that is full, by the journal or before it, ends the journal alone', async ({ skip }) => {
  const directory = smallDisk()
  if (directory === null) return skip('this process may not mount a file system')
  const model = new Accepted()
  const one = await openLayer(directory)
  for (let n = 0; n < 400; n++) await model.send(one.layer, 'a', jsonOf(n, 1000))
  expect(one.errors).toMatchObject([{ code: 'journal-failed', message: expect.stringContaining('ENOSPC') }])
  expect(await model.check(one.layer, 50)).toBe(0)
  await one.layer.close()
  // It made room for others.
  writeFileSync(join(directory, 'others'), Buffer.alloc(200_000))
  try {
    writeFileSync(join(directory, 'others'), Buffer.alloc(300_000))
  } catch {
    // Now it is full.
  }
  const two = await openLayer(directory)
  expect(two.errors).toMatchObject([{ code: 'journal-failed' }])
  expect(await two.layer.groupSend('a', jsonOf(1))).toMatch(/\.1$/)
  await two.layer.close()
})
