/** The page about Django: its code compiles, its tables name all options, and its permissions are enough. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { djangoLayer } from '../../src/layers/django/index.ts'
import { layerConformance } from '../../src/testing/index.ts'
import { startRedis } from '../support/redis-server.ts'

const ROOT = new URL('../..', import.meta.url).pathname
const PAGE = readFileSync(join(ROOT, 'docs/django.md'), 'utf8')

test('the code compiles', { timeout: 60_000 }, () => {
  const folder = mkdtempSync(join(ROOT, 'test-results-django-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const [code = ''] = [...PAGE.matchAll(/^```ts\n(.*?)^```/gms)].map(([, text]) => text)
  expect(code).toContain('djangoLayer(')
  writeFileSync(join(folder, 'hub.ts'), code)
  const paths = {
    groupcast: [join(ROOT, 'src/index.ts')],
    'groupcast/layers/django': [join(ROOT, 'src/layers/django/index.ts')],
  }
  const config = {
    extends: join(ROOT, 'tsconfig.json'),
    compilerOptions: { noUnusedLocals: false, paths },
    include: ['*.ts'],
  }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config))
  execFileSync(join(ROOT, 'node_modules/.bin/tsc'), ['-p', folder], { encoding: 'utf8' })
})

test('the table names the options that there are', () => {
  let known = ''
  try {
    djangoLayer({ nothing: true } as never)
  } catch (error) {
    known = /The options are (.*)\.$/.exec(String(error))?.[1] ?? ''
  }
  const documented = [...PAGE.matchAll(/^\| [^|]*\| `(\w+)` +\| [^|]*\| [^|]*\|$/gm)].map(([, name]) => name)
  expect([...documented, 'protocol'].sort()).toEqual(known.split(', ').sort())
})

test.each(['core', 'pubsub'] as const)(
  'the permissions are enough for %s',
  { timeout: 60_000 },
  async (protocol) => {
    const server = await startRedis()
    onTestFinished(() => server.stop())
    const [line = ''] = new RegExp(`^ACL SETUSER ${protocol}-hub .*$`, 'm').exec(PAGE) ?? []
    await server.command(...line.split(' '))
    const hosts = [server.url.replace('//', `//${protocol}-hub:secret@`)]
    // One that does all there is.
    const wanted = ['1.1', '6.1', '9.1', '10.1', '12.1', '23.1']
    const cases = layerConformance({
      async create(count, { clock: _clock, ...setup }) {
        await server.command('FLUSHALL')
        return { layers: Array.from({ length: count }, () => djangoLayer({ protocol, hosts, ...setup })) }
      },
    }).filter(({ title }) => wanted.includes(title.split(' ')[0] ?? ''))
    expect(cases.length).toBeGreaterThan(4)
    for (const { run } of cases) await run()
  },
)
