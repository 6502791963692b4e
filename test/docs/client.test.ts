/** docs/client.md knows every option, state, error and method of the client, and nothing that is gone. */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { ERRORS } from '../../src/errors.ts'

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
const DOCUMENT = read('docs/client.md')

/** The names in the first column of the tables of a section. */
function documented(section: string): string[] {
  const text = DOCUMENT.split(/^## /m).find((part) => part.startsWith(`${section}\n`)) ?? ''
  const cells = [...text.matchAll(/^\| (`[^|]*) \|/gm)].map(([, cell]) => cell ?? '')
  return cells.flatMap((cell) => [...cell.matchAll(/`(\w[\w-]*)/g)].map(([, name]) => name ?? '')).toSorted()
}

/** The names that a pattern finds in a declaration, from its head to the first line that ends it. */
function declared(path: string, head: string, end: string, pattern: RegExp): string[] {
  const [, rest = ''] = read(path).split(head)
  const [body = ''] = rest.split(end)
  return [...body.matchAll(pattern)].map(([, name]) => name ?? '').toSorted()
}

test.each([
  [
    'Options',
    declared('src/client/options.ts', 'interface ClientOptions {', '\n}', /^ {2}readonly (\w+)\?:/gm),
  ],
  ['States', declared('src/client/client.ts', 'type ClientState =', '\n\n', /'(\w+)'/g)],
  ['Errors', declared('src/client/client-error.ts', 'type ClientErrorCode =', '\n\n', /\| '([\w-]+)'/g)],
  [
    'What a client has',
    declared(
      'src/client/client.ts',
      'interface Client<M> {',
      '\n}',
      /^ {2}(?:readonly )?(\w+)(?:<.*)?[:(<]/gm,
    ),
  ],
])('%s: what is documented is what there is', (section, names) => {
  expect(names.length).toBeGreaterThan(3)
  expect(documented(section)).toEqual([...new Set(names)])
})

test('its own error codes are not those of the hub', () => {
  for (const code of documented('Errors')) expect(Object.keys(ERRORS)).not.toContain(code)
})
