/** A hub on a journal: what an application and its operators see of it. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createHub, memoryLayer } from 'groupcast'
import { fileJournal } from 'groupcast/layers/journal'
import { expect, onTestFinished, test } from 'vitest'

function newHub(directory: string) {
  const errors: { code: unknown; where: string }[] = []
  const hub = createHub({
    layer: memoryLayer({ journal: fileJournal({ directory }) }),
    groups: [{ match: 'kept.*', history: {} }],
    onError: (error, { where }) => void errors.push({ code: (error as { code?: unknown }).code, where }),
  })
  return { hub, errors }
}

test('a hub that starts again goes on where it was, and one that finds its journal taken says so', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'groupcast-journal-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  const one = newHub(directory)
  const first = await one.hub.groupSend('kept.a', { type: 'n', n: 1 })
  const second = await one.hub.groupSend('kept.a', { type: 'n', n: 2 })
  const other = newHub(directory)
  await expect(other.hub.groupSend('kept.a', { type: 'n' })).rejects.toMatchObject({ code: 'journal-in-use' })
  expect(other.errors).toEqual([{ code: 'journal-in-use', where: 'layer' }])
  expect(other.hub.status.ready).toBe(false)
  await other.hub.close()
  await one.hub.close()

  const two = newHub(directory)
  const page = await two.hub.history('kept.a', { after: first.cursor ?? '' })
  expect(page).toMatchObject({ messages: [{ cursor: second.cursor, message: { type: 'n', n: 2 } }] })
  const third = await two.hub.groupSend('kept.a', { type: 'n', n: 3 })
  expect(third.cursor).toBe(second.cursor?.replace(/\.2$/, '.3'))
  expect([one.errors, two.errors]).toEqual([[], []])
  await two.hub.close()
})
