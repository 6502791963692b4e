/** docs/limits.md says the defaults that there are and the metrics that are served; docs/threat-model.md names tests that exist. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { DEFAULT_RATES } from 'groupcast'
import { expect, onTestFinished, test } from 'vitest'
import { RATE_NAMES, type RateName } from '../../src/rates.ts'
import { loadConfig } from '../../src/server/config/load.ts'
import { startServer } from '../../src/server/server.ts'

const ROOT = new URL('../../', import.meta.url)
const read = (path: string) => readFileSync(new URL(path, ROOT), 'utf8')
const LIMITS = read('docs/limits.md')
const THREATS = read('docs/threat-model.md')

const MIB = 1024 * 1024
const count = (value: number) => (value % MIB === 0 ? `${value / MIB} MiB` : value.toLocaleString('en-US'))

test('the table of rates has the defaults', () => {
  const written = (name: RateName) =>
    `${count(Number(DEFAULT_RATES[name]))}/s, ${count(DEFAULT_RATES[`${name}Burst`])} at once`
  for (const name of RATE_NAMES) expect(LIMITS, name).toContain(`| ${written(name)}`)
  expect(LIMITS).toContain(`| ${count(Number(DEFAULT_RATES.connectionsPerAddress))} |`)
  expect(LIMITS).toContain(`(${count(DEFAULT_RATES.maxTracked)})`)
})

test('every metric that the page names is served, and the numbers behind it are in the stats', async () => {
  const loaded = loadConfig({ flags: { port: 0, playground: false }, env: {}, cwd: '/nowhere' })
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems))
  const server = await startServer(loaded.config)
  onTestFinished(() => server.close())
  const metrics = await (await fetch(`${server.url}/metrics`)).text()
  const rows = [...LIMITS.matchAll(/^\| `(\w+)` \| `(groupcast_\w+)/gm)]
  expect(rows).toHaveLength(9)
  for (const [, field = '', name] of rows) {
    expect(metrics).toContain(`# TYPE ${name} `)
    expect(server.hub.stats).toHaveProperty(field)
  }
})

test('the tests that the threat model names exist, by file and by words of their titles', () => {
  const tests = readdirSync(new URL('test/', ROOT), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !file.startsWith('docs/'))
    .map((file) => read(`test/${file}`))
    .join('\n')
  const costs = THREATS.slice(THREATS.indexOf('## Threats: what one client costs'))
  for (const [, file = ''] of THREATS.matchAll(/`(test\/[\w./-]+\.ts)`/g)) {
    expect(existsSync(new URL(file, ROOT)), file).toBe(true)
  }
  for (const line of costs.split('\n').filter((row) => row.startsWith('| '))) {
    const cells = line.split(' | ')
    for (const [, title = ''] of cells.at(-1)?.matchAll(/"([^"]+)"/g) ?? [])
      expect(tests, line).toContain(title)
  }
})
