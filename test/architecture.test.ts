/** Dependencies point one way: this table is the rule, and `docs/architecture.md` draws it. */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { expect, test } from 'vitest'

const SRC = new URL('../src', import.meta.url).pathname

/** Contracts, errors, names and other leaves: everybody may use them. */
const LEAVES = [
  'batch.ts',
  'clock.ts',
  'cookies.ts',
  'errors.ts',
  'frame.ts',
  'glob.ts',
  'history.ts',
  'identity.ts',
  'json.ts',
  'mailboxes.ts',
  'message.ts',
  'names.ts',
  'options.ts',
  'origin.ts',
  'permission.ts',
  'problem.ts',
  'publication.ts',
  'rate-table.ts',
  'rates.ts',
  'slow.ts',
  'source.ts',
  'stream-end.ts',
  'transfer-coding.ts',
  'layers/journal.ts',
  'layers/layer.ts',
  'transports/backend.ts',
  'transports/handshake.ts',
  'transports/trusted-proxies.ts',
  'wire',
]

/** Folder or file of `src` → what of `src` it may import besides itself. The first that fits a file decides. */
const MAY_IMPORT: readonly (readonly [part: string, allowed: readonly string[]])[] = [
  ...LEAVES.map((leaf) => [leaf, LEAVES] as const),
  ['errors-document.ts', LEAVES],
  ['hub', LEAVES],
  ['groups-consumer.ts', [...LEAVES, 'hub/consumer.ts']],
  ['streaming', LEAVES],
  ['auth', LEAVES],
  ['layers/file-journal', LEAVES],
  ['layers/broker', LEAVES],
  ['layers/django', [...LEAVES, 'layers/broker', 'layers/channel-options.ts']],
  ['layers/nats', [...LEAVES, 'layers/broker', 'layers/cursor.ts']],
  ['layers/redis', [...LEAVES, 'layers/broker', 'layers/channel-options.ts', 'layers/cursor.ts']],
  ['layers', LEAVES],
  ['transports/node', LEAVES],
  ['transports/uws', LEAVES],
  ['testing', LEAVES],
  ['load', LEAVES],
  // Types only, and only those whose declarations need nothing of Node: test/client/bundle.test.ts sees what is left at run time.
  ['client', ['errors.ts', 'message.ts']],
  ['api', [...LEAVES, 'hub/hub-api.ts', 'hub/close-code.ts', 'transports/uws', 'transports/node/head.ts']],
  ['create-hub.ts', [...LEAVES, 'hub', 'layers/memory.ts', 'transports/node/backend.ts']],
  ['index.ts', ['']],
  ['version.ts', []],
  ['server', ['']],
  ['cli', ['']],
]

/** Which part may use which packages of node and npm; other parts use none. */
const MAY_USE: Readonly<Record<string, RegExp>> = {
  hub: /^(nanoid|path-to-regexp)$/,
  'message.ts': /^@standard-schema\/spec$/,
  // For its types alone: what a response can do, the application brings along.
  streaming: /^node:http2?$/,
  'transports/node': /^(ws|node:(http|https|http2|net|stream))$/,
  'layers/nats': /^@nats-io\/transport-node$/,
  auth: /^(jose|node:crypto)$/,
  // The package itself comes from the application.
  'transports/uws': /^node:(buffer|http|util)$/,
  'transports/trusted-proxies.ts': /^node:net$/,
  'layers/file-journal': /^node:(crypto|fs|net|path|timers\/promises|zlib)$/,
  'layers/django': /^(ioredis|node:(crypto|zlib))$/,
  'layers/redis': /^(ioredis|node:crypto)$/,
  'layers/broker': /^(ioredis|node:crypto)$/,
  testing: /^node:(assert(\/strict)?|timers\/promises|crypto|net)$/,
  load: /^(hdr-histogram-js|ws|node:.*)$/,
  api: /^(zod|prom-client|node:(http|crypto|buffer|util|stream|events))$/,
  'version.ts': /^node:fs$/,
  'index.ts': /^$/,
  server: /./,
  cli: /./,
}

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'))

/** Files that a file imports, types included, as paths below `src`; packages as they are named. */
function importsOf(file: string): string[] {
  const text = readFileSync(join(SRC, file), 'utf8')
  const found = text.matchAll(/^(?:import|export)\b[^'"`;]*?from '([^']+)'|^import '([^']+)'/gm)
  return [...found]
    .map(([, from, bare]) => from ?? bare ?? '')
    .map((name) => (name.startsWith('.') ? relative(SRC, join(SRC, dirname(file), name)) : name))
}

const isIn = (file: string, part: string) => part === '' || file === part || file.startsWith(`${part}/`)

test.each(files)('%s imports only what its part may', (file) => {
  const rule = MAY_IMPORT.find(([part]) => isIn(file, part))
  expect(rule, `${file} belongs to no part of the table`).toBeDefined()
  const [part = '', allowed = []] = rule ?? []
  const [, packages] = Object.entries(MAY_USE).find(([name]) => isIn(file, name)) ?? []
  for (const name of importsOf(file)) {
    if (name.endsWith('.ts')) {
      const isAllowed = isIn(name, part) || allowed.some((other) => isIn(name, other))
      expect(isAllowed, `${file} imports ${name}`).toBe(true)
    } else {
      expect(packages?.test(name) ?? false, `${file} uses ${name}`).toBe(true)
    }
  }
})

test('the table has no part that is gone', () => {
  for (const [part] of MAY_IMPORT)
    expect(
      files.some((file) => isIn(file, part)),
      part,
    ).toBe(true)
})
