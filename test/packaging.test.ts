/** The package as users get it: what `npm pack` holds, its entry points and their types. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

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
    expect(Object.keys(result.entrypoints)).toEqual(['.', './layers/journal', './testing', './package.json'])
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
    const journal = await import('groupcast/layers/journal')
    console.log(JSON.stringify([main, testing, journal].map((entry) => Object.keys(entry))))`
  const output = execFileSync(process.execPath, ['--input-type=module', '-e', script], {
    cwd: ROOT,
    encoding: 'utf8',
  })
  const [main, testing, journal] = JSON.parse(output) as [string[], string[], string[]]
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
})

test('the lock file names no registry', () => {
  expect(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')).not.toMatch(/"resolved": "https?:/)
})
