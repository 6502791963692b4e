/** Memory layers on a journal, a model of what they promise, and a file system that fails when it is told to. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished } from 'vitest'
import type { HistoryBounds } from '../../src/history.ts'
import { FileJournal, type FileJournalParts } from '../../src/layers/file-journal/file-journal.ts'
import { type Files, systemFiles } from '../../src/layers/file-journal/files.ts'
import type { ChannelLayer, LayerPublication } from '../../src/layers/layer.ts'
import { type MemoryLayerOptions, memoryLayer } from '../../src/layers/memory.ts'

export const GROUPS = ['a', 'b', 'c'] as const
export const BOUNDS: HistoryBounds = { count: 1000, ageMs: 1e9, bytes: 1e9 }

/** A directory that is gone after the test. */
export function newDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'groupcast-journal-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

export const jsonOf = (n: number, bytes = 0) => JSON.stringify({ type: 'n', n, pad: 'x'.repeat(bytes) })

/** A layer on a journal, what its node got and what it reported. */
export interface Journaled {
  readonly layer: ChannelLayer
  readonly delivered: { readonly group: string; readonly publication: LayerPublication }[]
  readonly errors: { readonly code?: string; readonly message: string }[]
}

/** What nobody needs to survive a loss of power: waiting for the disk would be most of a test's time. */
export const quickFiles: Files = { ...systemFiles, sync: async () => {}, syncNow() {} }

let nodes = 0

export async function openLayer(
  directory: string,
  parts: Partial<FileJournalParts> = {},
  {
    historyOf = () => BOUNDS,
    ...options
  }: MemoryLayerOptions & { historyOf?: (group: string) => HistoryBounds | null } = {},
): Promise<Journaled> {
  const journal = new FileJournal({
    directory,
    maxBytes: 1024 * 1024,
    isSynced: false,
    files: quickFiles,
    timeOfDay: Date.now,
    boot: 'boot',
    ...parts,
  })
  const layer = memoryLayer({ ...options, journal })
  const delivered: Journaled['delivered'] = []
  const errors: Error[] = []
  const sink = {
    deliver: (group: string, publication: LayerPublication) => void delivered.push({ group, publication }),
    receive: () => true,
    status() {},
    report: (error: unknown) => void errors.push(error as Error),
  }
  await layer.start({ nodeId: `node${nodes++}`, sink, historyOf })
  return { layer, delivered, errors }
}

/** What was accepted, in order. */
export class Accepted {
  readonly all: { readonly group: string; readonly json: string; readonly cursor: string }[] = []
  /** Sent, and not known to be accepted when the process ended: may be there or not, in order. */
  pending: { readonly group: string; readonly json: string }[] = []

  async send(layer: ChannelLayer, group: string, json: string): Promise<void> {
    const cursor = await layer.groupSend(group, json)
    if (cursor === null) throw new Error(`${group} keeps no history`)
    expect(
      this.all.some((one) => one.cursor === cursor),
      `${cursor} is given twice`,
    ).toBe(false)
    this.all.push({ group, json, cursor })
  }

  /**
   * Asks for everything after each cursor that was ever given: it is all there, or the group is lost.
   *
   * @param mustKeep how many a group is sure to keep: to be lost for want of older ones is its right
   * @returns how many of the questions were answered with `lost` that should not be
   */
  async check(layer: ChannelLayer, every = 1, mustKeep = Number.POSITIVE_INFINITY): Promise<number> {
    let lost = 0
    const inEpoch = (cursor: string) => cursor.split('.')[0] === layer.position?.split('.')[0]
    for (const group of GROUPS) {
      for (let index = 0; index < this.all.length; index += every) {
        const after = this.all[index]?.cursor ?? ''
        const replay = await layer.replay({ groups: new Map([[group, null]]), after })
        const rest = this.all.slice(index + 1).filter((one) => one.group === group)
        if (replay.lost.length > 0) {
          expect(replay.publications).toEqual([])
          if (rest.length <= mustKeep) lost++
          continue
        }
        expect(inEpoch(after), 'a cursor of another epoch').toBe(true)
        const got = replay.publications.map(({ publication }) => publication)
        expect(got.slice(0, rest.length)).toEqual(rest.map(({ json, cursor }) => ({ json, cursor })))
        this.#assertPending(group, got.slice(rest.length))
      }
      const { publications } = await layer.replay({ groups: new Map([[group, null]]), after: null })
      const kept = publications.map(({ publication }) => publication)
      const mine = this.all.filter((one) => one.group === group).map(({ json, cursor }) => ({ json, cursor }))
      const known = kept.filter(({ cursor }) => mine.some((one) => one.cursor === cursor))
      if (known.length > 0) expect(known).toEqual(mine.slice(-known.length))
      this.#assertPending(group, kept.slice(known.length))
    }
    return lost
  }

  #assertPending(group: string, got: readonly LayerPublication[]): void {
    const pending = this.pending.filter((one) => one.group === group).map(({ json }) => json)
    expect(pending.slice(0, got.length)).toEqual(got.map(({ json }) => json))
  }
}

/** Thrown by {@link failingFiles}. */
export class Cut extends Error {
  readonly code: string

  constructor(code: string) {
    super(`${code}: injected`)
    this.code = code
  }
}

/** Calls that change what is on the disk. */
const CHANGES = ['create', 'write', 'sync', 'syncNow', 'rename', 'remove'] as const

/**
 * A file system that stops at its `at`th change: that and all later ones of the kinds in `only` fail. With `isTorn` half of the bytes of that write arrive. `code` is what it says.
 */
export function failingFiles(
  at: number,
  { code = 'EIO', isTorn = false, only = CHANGES as readonly string[] } = {},
) {
  const state = { count: 0, isOver: false }
  const step =
    <A extends unknown[], R>(name: string, call: (...given: A) => R, torn?: (...given: A) => void) =>
    (...given: A): R => {
      if (!only.includes(name)) return call(...given)
      if (state.isOver) throw new Cut(code)
      if (state.count++ === at) {
        state.isOver = true
        if (isTorn) torn?.(...given)
        throw new Cut(code)
      }
      return call(...given)
    }
  const files: Files = {
    ...quickFiles,
    create: step('create', quickFiles.create),
    write: step('write', systemFiles.write, (file, bytes) =>
      systemFiles.write(file, bytes.subarray(0, bytes.length >> 1)),
    ),
    sync: step('sync', quickFiles.sync),
    syncNow: step('syncNow', quickFiles.syncNow),
    rename: step('rename', systemFiles.rename),
    remove: step('remove', systemFiles.remove),
  }
  return { files, state }
}
