/** The package as users get it: what `npm pack` holds, its entry points and their types. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'

const ROOT = new URL('..', import.meta.url).pathname
const folder = mkdtempSync(join(tmpdir(), 'groupcast-pack-'))
let tarball: Buffer
let files: string[]

beforeAll(() => {
  const output = execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], {
    cwd: ROOT,
    encoding: 'utf8',
  })
  const [pack] = JSON.parse(output) as [{ filename: string; files: { path: string }[] }]
  tarball = readFileSync(join(folder, pack.filename))
  files = pack.files.map(({ path }) => path)
}, 60_000)

afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe('the package', () => {
  test('passes publint', async () => {
    const { messages, pkg } = await publint({ pkgDir: ROOT, strict: true })
    expect(messages.map((message) => formatMessage(message, pkg))).toEqual([])
  })

  test('has types that resolve in every entry point', async () => {
    const result = await checkPackage(createPackageFromTarballData(new Uint8Array(tarball)))
    if (result.types === false) throw new Error('The package has no types.')
    // ES modules only: `require` of it works where Node can require ES modules, and types say so.
    const problems = result.problems.filter(
      ({ kind }) => kind !== 'CJSResolvesToESM' && kind !== 'NoResolution',
    )
    expect(problems).toEqual([])
    expect(Object.keys(result.entrypoints)).toEqual([
      '.',
      './client',
      './auth',
      './layers/journal',
      './layers/django',
      './layers/redis',
      './layers/nats',
      './transports/uws',
      './testing',
      './package.json',
    ])
  })

  test('holds the build, the page, the docs and nothing else', () => {
    expect(files).toEqual(
      expect.arrayContaining([
        'dist/index.js',
        'dist/index.d.ts',
        'dist/cli/main.js',
        'dist/server/playground/index.html',
        'README.md',
        'LICENSE',
      ]),
    )
    const strangers = files.filter(
      (path) => !/^(dist|docs)\/|^(package\.json|README\.md|LICENSE|CHANGELOG\.md)$/.test(path),
    )
    expect(strangers).toEqual([])
  })
})

test('its entry points load in plain Node and export what they promise', () => {
  const script = `
    const main = await import('groupcast')
    const testing = await import('groupcast/testing')
    const client = await import('groupcast/client')
    const journal = await import('groupcast/layers/journal')
    const redis = await import('groupcast/layers/redis')
    const django = await import('groupcast/layers/django')
    const nats = await import('groupcast/layers/nats')
    const uws = await import('groupcast/transports/uws')
    console.log(JSON.stringify([main, testing, client, journal, redis, django, nats, uws].map((entry) => Object.keys(entry))))`
  const output = execFileSync(process.execPath, ['--input-type=module', '-e', script], {
    cwd: ROOT,
    encoding: 'utf8',
  })
  const [main, testing, client, journal, redis, django, nats, uws] = JSON.parse(output) as string[][]
  expect(main).toEqual(
    expect.arrayContaining([
      'createHub',
      'memoryLayer',
      'groupsConsumer',
      'nodeBackend',
      'Refusal',
      'ERRORS',
    ]),
  )
  expect(testing).toEqual(expect.arrayContaining(['layerConformance', 'manualClock']))
  expect(journal).toEqual(['fileJournal'])
  expect(redis).toEqual(['redisLayer'])
  expect(django).toEqual(['djangoLayer'])
  expect(nats).toEqual(['natsLayer'])
  expect(uws).toEqual(['importUws', 'uwsBackend'])
  expect(client).toEqual(['ClientError', 'connect'])
})

/** What a page's own compiler sees of the client: the browser's globals, nothing of Node, and every declaration checked. */
const PAGE = `
import { type Client, ClientError, connect } from 'groupcast/client'

interface Messages {
  'chat.message': { user: string; text: string }
  'chat.left': { user: string }
}

const client: Client<Messages> = connect<Messages>('/events', {
  groups: ['chat.lobby'],
  WebSocket,
  fetch: window.fetch,
  storage: localStorage,
  events: window,
  getToken: async () => (await fetch('/token')).text(),
})
client.on('chat.message', ({ type, user, text }, { group, cursor }) => {
  const all: ['chat.message', string, string, string | null, string | null] = [type, user, text, group, cursor]
  return all
})
client.on('*', (message) => (message.type === 'chat.left' ? message.user : message.text))
client.onState((state, reason) => state === 'closed' && reason instanceof ClientError && reason.code === 'forbidden')
client.send({ type: 'chat.left', user: 'ann' }).then((result: unknown) => result)
// @ts-expect-error no such type
client.on('chat.massage', () => {})
// @ts-expect-error no such field
client.on('chat.left', ({ text }) => text)
// @ts-expect-error a field is missing
client.send({ type: 'chat.message', user: 'ann' })
// @ts-expect-error no such type
client.publish('chat.lobby', { type: 'chat.massage', user: 'ann', text: 'hi' })
// @ts-expect-error it is the client's to say
client.state = 'open'
connect('/events').on('anything', ({ whatever }) => whatever)
`

/** What the application of docs/client.md has. */
const QUICK_START_NEEDS = `
declare function show(group: string | null, user: string, text: string): void
declare function loadHistory(): void
declare function showState(state: string, reason: string | undefined): void
`

test('the types of the client are enough for a page, without those of Node', { timeout: 60_000 }, () => {
  const page = mkdtempSync(join(ROOT, 'test-results-page-'))
  onTestFinished(() => rmSync(page, { recursive: true, force: true }))
  writeFileSync(join(page, 'page.ts'), PAGE)
  const [, quickStart = ''] =
    /^```ts\n(.*?)^```/ms.exec(readFileSync(join(ROOT, 'docs/client.md'), 'utf8')) ?? []
  expect(quickStart).toContain('connect<Messages>')
  writeFileSync(join(page, 'quick-start.ts'), `${quickStart}${QUICK_START_NEEDS}`)
  const compilerOptions = {
    target: 'es2022',
    lib: ['es2022', 'dom', 'dom.iterable'],
    types: [],
    module: 'esnext',
    moduleResolution: 'bundler',
    strict: true,
    exactOptionalPropertyTypes: true,
    noEmit: true,
  }
  writeFileSync(join(page, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['*.ts'] }))
  execFileSync(join(ROOT, 'node_modules/.bin/tsc'), ['-p', page], { encoding: 'utf8' })
})

test('the lock file names no registry', () => {
  expect(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')).not.toMatch(/"resolved": "https?:/)
})
