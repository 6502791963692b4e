/** The code of `docs/streaming.md` compiles, and its table names every option. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { streamResponse } from 'groupcast'
import { expect, onTestFinished, test } from 'vitest'

const ROOT = new URL('../..', import.meta.url).pathname
const PAGE = readFileSync(join(ROOT, 'docs/streaming.md'), 'utf8')

/** What the page leaves to its reader. */
const SOURCES = `
declare global {
  function csvLines(): Iterable<string>
  function rows(): AsyncGenerator<object>
  function news(): AsyncGenerator<string>
  function model(question: string): AsyncGenerator<string>
}
export {}
`

test('the code compiles', { timeout: 60_000 }, () => {
  const folder = mkdtempSync(join(ROOT, 'test-results-streaming-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const blocks = [...PAGE.matchAll(/^```ts\n(.*?)^```/gms)].map(([, code]) => code ?? '')
  expect(blocks.length).toBeGreaterThan(3)
  for (const [n, code] of blocks.entries()) writeFileSync(join(folder, `block-${n}.ts`), code)
  writeFileSync(join(folder, 'sources.ts'), SOURCES)
  const config = {
    extends: join(ROOT, 'tsconfig.json'),
    compilerOptions: { paths: { groupcast: [join(ROOT, 'src/index.ts')] } },
    include: ['*.ts'],
  }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config))
  execFileSync(join(ROOT, 'node_modules/.bin/tsc'), ['-p', folder], { encoding: 'utf8' })
})

test('every option has a row', () => {
  const response = { flushHeaders() {} } as never
  const known = /The options are (.*)\./.exec(
    thrownBy(() => void streamResponse(response, [], { nonsense: 1 } as never)),
  )?.[1]
  const rows = [...PAGE.matchAll(/^\| `(\w+)` +\|/gm)].map(([, name]) => name)
  expect(rows.sort()).toEqual(known?.split(', ').sort())
})

function thrownBy(call: () => void): string {
  try {
    call()
  } catch (error) {
    return String(error)
  }
  return ''
}
