/** The page about deployment and its files: what they name exists, and two hubs behind nginx with its file work as one. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, onTestFinished, test } from 'vitest'
import { parse } from 'yaml'
import { DEFAULT_LIMITS } from '../../src/options.ts'
import { loadConfig } from '../../src/server/config/load.ts'
import { SETTINGS } from '../../src/server/config/settings.ts'
import { type RunningServer, startServer } from '../../src/server/server.ts'
import { endRuns, groupcast } from '../cli/groupcast.ts'
import { openClient, type TestClient } from '../support/clients.ts'
import { listen, stop } from '../support/hub-server.ts'
import { startRedis } from '../support/redis-server.ts'
import { until, within } from '../support/until.ts'

const ROOT = new URL('../..', import.meta.url).pathname
const read = (name: string) => readFileSync(join(ROOT, name), 'utf8')

const KEY = 'a-key-of-this-test-0000'
const PACKAGE = JSON.parse(read('package.json')) as {
  bin: { groupcast: string }
  peerDependencies: Record<string, string>
  devDependencies: Record<string, string>
}

interface Service {
  readonly image?: string
  readonly build?: string
  readonly environment?: Record<string, string>
  readonly healthcheck?: { readonly test: readonly string[] }
  readonly stop_grace_period?: string
  readonly volumes?: readonly string[]
  readonly profiles?: readonly string[]
  readonly command?: readonly string[]
  readonly depends_on?: Record<string, { readonly condition: string }>
}

const COMPOSE = parse(read('compose.yaml'), { merge: true }) as {
  readonly services: Record<string, Service>
  readonly volumes: Record<string, null>
}
const NGINX = read('deploy/nginx.conf')

afterEach(endRuns)

/** Fills in `${NAME:-default}` and `${NAME:?text}` as Compose does. */
function interpolated(text: string, variables: Record<string, string>): string {
  return text.replace(/\$\{(\w+)(:[-?])?([^}]*)\}/g, (_all, name: string, kind: string, rest: string) => {
    const value = variables[name]
    if (value !== undefined) return value
    if (kind === ':-') return rest
    throw new Error(`${name}: ${rest}`)
  })
}

function environmentOf(service: string, variables: Record<string, string>): Record<string, string> {
  const { environment = {} } = COMPOSE.services[service] ?? {}
  return Object.fromEntries(
    Object.entries(environment).map(([name, text]) => [name, interpolated(text, variables)]),
  )
}

/** What the hub would run with. */
async function checked(env: Record<string, string>): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await groupcast(['check-config'], { env })
  expect(code, stderr).toBe(0)
  return JSON.parse(stdout.slice(stdout.indexOf('{'))) as Record<string, unknown>
}

/** The lines `NAME=value` of a file of variables, quotes taken off as systemd does. */
function variablesOf(text: string): Record<string, string> {
  const lines = [...text.matchAll(/^(\w+)=(.*)$/gm)]
  return Object.fromEntries(lines.map(([, name = '', value = '']) => [name, value.replace(/^'(.*)'$/, '$1')]))
}

describe('compose.yaml', () => {
  const hubs = Object.entries(COMPOSE.services).filter(([, { build }]) => build !== undefined)

  test.each(['hub-a', 'hub-b'])(
    '%s has a configuration that the hub takes, over either broker',
    async (name) => {
      const config = await checked(environmentOf(name, { GROUPCAST_API_KEYS: KEY }))
      expect(config).toMatchObject({ host: '0.0.0.0', port: 8000, layer: 'redis://redis:6379' })
      expect(config.groups).toMatchObject([{ match: '*', history: { count: 100 } }])
      const layer = 'nats://nats:4222'
      const overNats = await checked(environmentOf(name, { GROUPCAST_API_KEYS: KEY, GROUPCAST_LAYER: layer }))
      expect(overNats).toMatchObject({ layer })
      expect(() => environmentOf(name, {})).toThrow('the HTTP API needs a key')
    },
  )

  test('what services, volumes and hosts it names exist', () => {
    const names = Object.keys(COMPOSE.services)
    expect(hubs.map(([name]) => name)).toEqual(['hub-a', 'hub-b'])
    for (const service of Object.values(COMPOSE.services)) {
      for (const other of Object.keys(service.depends_on ?? {})) expect(names).toContain(other)
      for (const volume of service.volumes ?? []) {
        const [source = ''] = volume.split(':')
        if (source.startsWith('./')) expect(existsSync(join(ROOT, source)), source).toBe(true)
        else expect(Object.keys(COMPOSE.volumes)).toContain(source)
      }
    }
    for (const [, host = ''] of NGINX.matchAll(/^ *server ([\w-]+):8000/gm)) expect(names).toContain(host)
    expect(COMPOSE.services.nats?.profiles).toEqual(['nats'])
    expect(COMPOSE.services.proxy?.volumes).toEqual(['./deploy/nginx.conf:/etc/nginx/nginx.conf:ro'])
  })

  test('hubs may drain for as long as they want, and are ready before the proxy starts', () => {
    for (const [name, { stop_grace_period, environment, healthcheck }] of hubs) {
      expect(Number.parseInt(stop_grace_period ?? '', 10) * 1000).toBeGreaterThan(
        Number(environment?.GROUPCAST_DRAIN_MS),
      )
      expect(healthcheck?.test.at(-1)).toContain(':8000/ready')
      expect(COMPOSE.services.proxy?.depends_on?.[name]?.condition).toBe('service_healthy')
    }
  })

  test('redis-server takes its arguments', async () => {
    const [program, ...args] = COMPOSE.services.redis?.command ?? []
    expect(program).toBe('redis-server')
    const redis = await startRedis({ args })
    onTestFinished(() => redis.stop())
    expect(await redis.command('CONFIG', 'GET', 'appendonly')).toBe('appendonly\nyes')
    expect(await redis.command('CONFIG', 'GET', 'maxmemory-policy')).toBe('maxmemory-policy\nnoeviction')
  })
})

describe('the checks of health', () => {
  test.each([
    ['of compose.yaml', COMPOSE.services['hub-a']?.healthcheck?.test.slice(1) ?? []],
    [
      'of the Dockerfile',
      JSON.parse(/HEALTHCHECK [^[]*(\[.*\])/.exec(read('Dockerfile'))?.[1] ?? '') as string[],
    ],
  ])('%s: a hub is healthy, and nothing is not', async (_where, [program = '', ...args]) => {
    expect(program).toBe('node')
    const hub = await startHub('memory')
    const run = async (url: string) => {
      const words = args.map((word) => word.replace('http://127.0.0.1:8000', url))
      expect(words).not.toEqual(args)
      const [code] = await once(spawn(process.execPath, words), 'exit')
      return code
    }
    expect(await run(hub.url)).toBe(0)
    await hub.close()
    expect(await run(hub.url)).toBe(1)
  })
})

describe('the Dockerfile', () => {
  const DOCKERFILE = read('Dockerfile')

  test('copies what is there, and what the builder gets', () => {
    const sources = [...DOCKERFILE.matchAll(/^COPY (?!--from)(.*) \S+$/gm)].flatMap(([, list = '']) =>
      list.split(' '),
    )
    const sent = read('.dockerignore').match(/^!.*$/gm)
    expect(sources).toContain('src')
    for (const source of sources) {
      expect(existsSync(join(ROOT, source)), source).toBe(true)
      expect(sent).toContain(`!${source}`)
    }
  })

  test('runs the program as a user without rights, with the packages of the drivers', () => {
    expect(DOCKERFILE).toContain('\nUSER node\n')
    expect(DOCKERFILE).toContain(`ENTRYPOINT ["node", "${PACKAGE.bin.groupcast.slice(2)}"]`)
    // uWebSockets.js comes from its own repository: whoever wants it builds an image with it (docs/backends.md).
    const drivers = Object.keys(PACKAGE.peerDependencies).filter((name) => name !== 'uWebSockets.js')
    for (const name of drivers)
      expect(DOCKERFILE).toContain(` dependencies.${name}=${PACKAGE.devDependencies[name]}`)
  })
})

test('the unit of systemd runs the program, with variables that the hub takes', async () => {
  const unit = read('deploy/groupcast@.service')
  expect(unit).toContain(`\nExecStart=/usr/bin/node ${PACKAGE.bin.groupcast.slice(2)} serve\n`)
  expect(unit).toContain('\nEnvironmentFile=/etc/groupcast.env\n')
  expect(unit).toContain('\nEnvironment=GROUPCAST_PORT=%i\n')
  const config = await checked({ ...variablesOf(read('deploy/groupcast.env')), GROUPCAST_PORT: '8001' })
  expect(config).toMatchObject({ host: '127.0.0.1', port: 8001, groups: [{ match: '*' }] })
  expect(Number(/^TimeoutStopSec=(\d+)$/m.exec(unit)?.[1]) * 1000).toBeGreaterThan(config.drainMs as number)
})

test('proxies wait longer than a heartbeat', () => {
  const seconds = [
    /proxy_read_timeout (\d+)s;/.exec(NGINX)?.[1],
    ...[...read('deploy/haproxy.cfg').matchAll(/timeout (?:client|server|tunnel) (\d+)s/g)].map(
      ([, text]) => text,
    ),
  ].map(Number)
  expect(seconds).toHaveLength(4)
  for (const each of seconds) expect(each * 1000).toBeGreaterThan(Number(DEFAULT_LIMITS.heartbeatMs))
})

test('variables that the page and its files name exist', () => {
  const known = SETTINGS.map(({ variable }) => variable)
  const files = ['docs/deployment.md', 'compose.yaml', 'deploy/groupcast.env', 'deploy/groupcast@.service']
  for (const file of files)
    for (const [name] of read(file).matchAll(/GROUPCAST_[A-Z_]+/g))
      expect(known, `${file}: ${name}`).toContain(name)
})

test('two hubs behind nginx are one: streams, WebSockets, publications, and a hub that stops', {
  timeout: 60_000,
}, async () => {
  const redis = await startRedis()
  onTestFinished(() => redis.stop())
  const hubs = [await startHub(redis.url), await startHub(redis.url)] as const
  const url = await startNginx(hubs)
  expect(await (await fetch(`${url}/ready`)).json()).toEqual({ status: 'ready' })

  const clients: TestClient[] = []
  onTestFinished(() => {
    for (const client of clients) client.close()
  })
  const kinds = ['sse', 'sse', 'websocket', 'websocket', 'ndjson', 'ndjson'] as const
  const open = async (kind: (typeof kinds)[number], path = '/events?group=a') => {
    // As a page of the same host does: without its name the hub would take it for another's.
    const client = await within(kind, openClient(kind, url + path, { headers: { origin: url } }))
    clients.push(client)
    return client
  }
  for (const kind of kinds) await open(kind)
  const connections = hubs.map(({ hub }) => Object.values(hub.group('a').connections))
  for (const counts of connections) expect(counts.reduce((sum, count) => sum + count)).toBeGreaterThan(0)

  // Twenty, so that both hubs publish.
  const sent = Array.from({ length: 20 }, (_, n) => `{"type":"n","n":${n}}`)
  const cursors: string[] = []
  for (const body of sent) cursors.push(await publish(url, body))
  await until('all clients of both hubs have all', () =>
    clients.every(({ messages }) => messages.length === sent.length),
  )
  for (const { messages } of clients) expect(messages).toEqual(sent)

  await hubs[0].close()
  await until('its clients are told', () => hubs[0].hub.stats.connections.sse === 0)
  for (const kind of ['sse', 'websocket', 'ndjson'] as const) {
    const back = await open(kind, `/events?group=a&cursor=${cursors[9]}`)
    await until('it has what it missed', () => back.messages.length === 10)
    expect(back.messages).toEqual(sent.slice(10))
  }
  for (let n = 0; n < 4; n++) await publish(url, '{"type":"still"}')
})

async function publish(url: string, body: string): Promise<string> {
  const answer = await fetch(`${url}/api/groups/a/messages`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${KEY}` },
    body,
  })
  const { cursor } = (await answer.json()) as { cursor: string }
  expect(answer.ok).toBe(true)
  return cursor
}

/** A hub as `deploy/groupcast.env` has it, on a free port. */
async function startHub(layer: string): Promise<RunningServer> {
  const env = {
    ...variablesOf(read('deploy/groupcast.env')),
    GROUPCAST_API_KEYS: KEY,
    GROUPCAST_LAYER: layer,
    GROUPCAST_PORT: '0',
    GROUPCAST_DRAIN_MS: '1000',
  }
  const loaded = loadConfig({ flags: {}, env, cwd: tmpdir() })
  if (!loaded.ok) throw new Error(loaded.problems.map(({ text }) => text).join('\n'))
  const server = await startServer(loaded.config)
  onTestFinished(() => server.close())
  return server
}

/** nginx with the file as it is, but for addresses and where it may write. @returns its URL */
async function startNginx(hubs: readonly [RunningServer, RunningServer]): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'groupcast-nginx-'))
  // Its workers are another user than root.
  chmodSync(folder, 0o755)
  const port = await freePort()
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${folder}/${name};`,
  )
  const [a, b] = hubs.map(({ url }) => new URL(url).host) as [string, string]
  const text = NGINX.replace('hub-a:8000', a)
    .replace('hub-b:8000', b)
    .replace('listen 8080;', `listen 127.0.0.1:${port};`)
    .replace('http {', `http {\n${temporary.join('\n')}`)
  const file = join(folder, 'nginx.conf')
  writeFileSync(file, text)
  const args = ['-p', folder, '-e', 'stderr', '-c', file, '-g', `daemon off; pid ${folder}/pid;`]
  // Debian has it where the PATH of an ordinary user does not lead.
  const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` }
  const check = spawnSync('nginx', ['-t', ...args], { env, encoding: 'utf8' })
  expect(check.status, check.stderr).toBe(0)
  const child = spawn('nginx', args, { env, stdio: ['ignore', 'ignore', 'pipe'] })
  let log = ''
  child.stderr.on('data', (chunk) => {
    log = `${log}${chunk}`.slice(-4_000)
  })
  onTestFinished(async () => {
    await ended(child)
    rmSync(folder, { recursive: true, force: true })
  })
  const url = `http://127.0.0.1:${port}`
  const answers = () =>
    fetch(`${url}/health`).then(
      ({ ok }) => ok,
      () => false,
    )
  for (let tries = 0; !(await answers()); tries++) {
    if (tries > 1_000 || child.exitCode !== null) throw new Error(`nginx does not answer:\n${log}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  return url
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return
  const exited = once(child, 'exit')
  // With SIGKILL its workers would stay.
  child.kill('SIGTERM')
  await exited
}

async function freePort(): Promise<number> {
  const server = createServer()
  const { port } = new URL(await listen(server))
  await stop(server)
  return Number(port)
}
