/** `docs/benchmarks.md` explains each target that its run misses. */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

const PAGE = readFileSync(new URL('../../docs/benchmarks.md', import.meta.url), 'utf8')

/** The cells of the table whose head begins so. */
function table(head: string): string[][] {
  const [, rest = ''] = PAGE.split(`\n${head}`)
  const [block = ''] = rest.split('\n\n')
  const lines = block.split('\n').slice(2)
  return lines.map((line) => line.split(/(?<!\\)\|/).map((cell) => cell.trim()))
}

const RUN = table('| scenario | case | target |').map(([, scenario, name, target, , verdict]) => ({
  name: `\`${scenario}\`, ${name}: ${target}`,
  isMissed: verdict === '**missed**',
}))
const BOUNDS = table('| missed | system calls |')

test('each missed row of the run is a row of "What bounds it"', () => {
  expect(RUN.length).toBeGreaterThan(10)
  const explained = BOUNDS.map(([, name]) => name)
  expect(explained).toEqual(expect.arrayContaining(RUN.filter((row) => row.isMissed).map(({ name }) => name)))
})

test('each row of "What bounds it" is a row of the run, and says what was counted, and what bounds it', () => {
  expect(BOUNDS.length).toBeGreaterThan(0)
  for (const [, name, calls, profile, bound] of BOUNDS) {
    expect(RUN.map((row) => row.name)).toContain(name)
    for (const cell of [calls, profile, bound]) expect(cell, name).toMatch(/./)
  }
})
