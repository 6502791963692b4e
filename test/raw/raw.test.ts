/**
 * The tables of this folder, row by row, against the whole server: bytes that the RFCs are about, and the one answer that each must get. Over
 * whichever server back end this run is about.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runRow } from './run.ts'
import { type RunningStage, startStage } from './stage.ts'
import { TABLES } from './tables/index.ts'

let stage: RunningStage | null = null

beforeAll(async () => {
  stage = await startStage()
})
afterAll(() => stage?.stop())

describe.each(TABLES)('%s', (_name, rows) => {
  test.concurrent.each(rows.map((row) => [row.id, row.rfc, row.what, row] as const))(
    '%s (%s): %s',
    async (_id, _rfc, _what, row) => {
      if (stage === null) throw new Error('The server is there when tests run.')
      await runRow(row, stage)
    },
  )
})

describe('the tables', () => {
  const rows = TABLES.flatMap(([, table]) => table)

  test('hold at least 120 rows, each with a name of its own and its RFC', () => {
    expect(rows.length).toBeGreaterThanOrEqual(120)
    expect(new Set(rows.map(({ id }) => id)).size).toBe(rows.length)
    for (const { id, rfc } of rows) expect(rfc, id).toMatch(/^(RFC \d{4}|WHATWG HTML), [\d.]+$/)
  })

  test('say why wherever the two back ends differ', () => {
    for (const { id, answer } of rows) {
      if ('why' in answer) expect(answer.why, id).toMatch(/^.{40,}\.$/)
    }
  })
})
