/** The page about Redis: its code compiles, and its ACL is enough for all that the layer does. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { redisLayer } from '../../src/layers/redis/index.ts'
import { layerConformance } from '../../src/testing/index.ts'
import { startRedis } from '../support/redis-server.ts'

const ROOT = new URL('../..', import.meta.url).pathname
const PAGE = readFileSync(join(ROOT, 'docs/redis.md'), 'utf8')

function blocks(language: string): string[] {
  return [...PAGE.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms'))].map(
    ([, code]) => code ?? '',
  )
}

test('the code compiles', { timeout: 60_000 }, () => {
  const folder = mkdtempSync(join(ROOT, 'test-results-redis-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const code = blocks('ts')
  expect(code).toHaveLength(2)
  for (const [n, text] of code.entries()) writeFileSync(join(folder, `block-${n}.ts`), text)
  const paths = {
    groupcast: [join(ROOT, 'src/index.ts')],
    'groupcast/layers/redis': [join(ROOT, 'src/layers/redis/index.ts')],
  }
  const config = {
    extends: join(ROOT, 'tsconfig.json'),
    compilerOptions: { noUnusedLocals: false, paths },
    include: ['*.ts'],
  }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config))
  execFileSync(join(ROOT, 'node_modules/.bin/tsc'), ['-p', folder], { encoding: 'utf8' })
})

test('the permissions are enough', { timeout: 60_000 }, async () => {
  const server = await startRedis()
  onTestFinished(() => server.stop())
  const [line = ''] = /^ACL SETUSER .*$/m.exec(PAGE) ?? []
  await server.command(...line.split(' '))
  const url = server.url.replace('//', '//hub:secret@')
  // One that does all there is.
  const wanted = ['1.1', '6.1', '9.1', '10.1', '12.1', '15.1', '22.1']
  const cases = layerConformance({
    async create(count, { clock: _clock, ...setup }) {
      await server.command('FLUSHALL')
      return { layers: Array.from({ length: count }, () => redisLayer({ url, ...setup })) }
    },
  }).filter(({ title }) => wanted.includes(title.split(' ')[0] ?? ''))
  expect(cases).toHaveLength(wanted.length)
  for (const { run } of cases) await run()
})
