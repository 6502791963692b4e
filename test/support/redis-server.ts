/** Real Redis servers for tests: one, one that Sentinels watch, or a Cluster; on free ports, in directories of their own. */
import { type ChildProcess, type ChildProcessByStdio, execFile, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** How long a server may take to do what it is asked for. */
const PATIENCE_MS = 20_000

const SETPRIV = '/usr/bin/setpriv'

export interface RedisServerOptions {
  /** What survives a restart: nothing unless given; `'aof'`: all that was acknowledged. */
  readonly persistence?: 'none' | 'aof'
  /** More options of redis-server, such as `--maxmemory 4mb`, one word an entry. */
  readonly args?: readonly string[]
  /** A free one unless given. */
  readonly port?: number
  /** Lines of a configuration file, which the server may rewrite; it has none unless given. */
  readonly config?: string
  readonly isSentinel?: boolean
}

/** A server process, and what can befall it. */
export class RedisServer {
  readonly port: number
  readonly #options: RedisServerOptions
  readonly #directory = mkdtempSync(join(tmpdir(), 'groupcast-redis-'))
  #process: ChildProcess | null = null
  #ended: Promise<void> = Promise.resolve()
  #output = ''

  constructor(port: number, options: RedisServerOptions) {
    this.port = port
    this.#options = options
    if (options.config !== undefined) writeFileSync(this.#configFile, options.config)
  }

  /** `redis://127.0.0.1:<port>` */
  get url(): string {
    return `redis://127.0.0.1:${this.port}`
  }

  /** Begins it again after {@link kill}, with the same port and files. Resolves when it answers. */
  async start(): Promise<void> {
    const { persistence = 'none', args = [], config, isSentinel = false } = this.#options
    const kept = persistence === 'aof' ? ['--appendonly', 'yes', '--appendfsync', 'always'] : []
    const common = ['--port', `${this.port}`, '--bind', '127.0.0.1', '--dir', this.#directory]
    const child = spawnBound('redis-server', [
      ...(config === undefined ? [] : [this.#configFile]),
      ...common,
      ...(isSentinel ? ['--sentinel'] : ['--save', '', ...kept]),
      ...args,
    ])
    running.add(child)
    this.#process = child
    this.#output = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk) => {
        this.#output = (this.#output + chunk).slice(-4000)
      })
    }
    this.#ended = new Promise((resolve) => {
      const end = () => {
        running.delete(child)
        if (this.#process === child) this.#process = null
        resolve()
      }
      child.once('exit', end)
      child.once('error', (error) => {
        this.#output += error.message
        end()
      })
    })
    await this.until('it answers', async () => {
      if (this.#process === null) throw new Error(`redis-server ended: ${this.#output}`)
      // While it loads its files it refuses with LOADING; one that wants a password is there, too.
      return /PONG|NOAUTH/.test(await this.command('PING').catch(String))
    })
  }

  /** What redis-cli prints for a command; strings as they are, lists a line each. Rejects with the server's error. */
  async command(...words: string[]): Promise<string> {
    const { stdout } = await run('redis-cli', ['-e', '-p', `${this.port}`, ...words], {
      timeout: PATIENCE_MS,
      maxBuffer: 64 * 1024 * 1024,
    })
    return stdout.trimEnd()
  }

  /** `kill -9`, or another signal; resolves when it is gone. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    // A stopped process dies of SIGKILL alone.
    this.#process?.kill(signal)
    await this.#ended
  }

  /** It keeps its connections and port, and does nothing: what a stalled machine looks like. */
  pause(): void {
    this.#process?.kill('SIGSTOP')
  }

  resume(): void {
    this.#process?.kill('SIGCONT')
  }

  /** Ends it and removes its files. */
  async stop(): Promise<void> {
    await this.kill()
    rmSync(this.#directory, { recursive: true, force: true })
  }

  /** Waits for a condition of this server. */
  async until(what: string, condition: () => Promise<boolean>): Promise<void> {
    const deadline = Date.now() + PATIENCE_MS
    while (!(await condition())) {
      if (Date.now() > deadline)
        throw new Error(`Waited ${PATIENCE_MS} ms until ${what} (redis, port ${this.port})`)
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }

  get #configFile(): string {
    return join(this.#directory, 'redis.conf')
  }
}

/** Starts one server. Whoever starts it stops it. */
export async function startRedis(options: RedisServerOptions = {}): Promise<RedisServer> {
  if (options.port !== undefined) {
    const server = new RedisServer(options.port, options)
    await server.start()
    return server
  }
  for (let attempt = 0; ; attempt++) {
    const server = new RedisServer(await freePort(), options)
    try {
      await server.start()
      return server
    } catch (error) {
      await server.stop()
      // Somebody took the port between the look and the start.
      if (attempt === 3) throw error
    }
  }
}

/** A primary with one replica, and the Sentinels that watch them. */
export interface RedisSentinels {
  /** What the Sentinels call it. */
  readonly name: string
  /** The one that was the primary at first, then the other. */
  readonly servers: readonly [RedisServer, RedisServer]
  readonly sentinels: readonly RedisServer[]
  /** Port of the primary as the first Sentinel says. */
  primaryPort(): Promise<number>
  stop(): Promise<void>
}

/** Starts a primary, its replica and three Sentinels that fail over within a second or two. */
export async function startSentinels(options: RedisServerOptions = {}): Promise<RedisSentinels> {
  const primary = await startRedis(options)
  const replica = await startRedis({
    ...options,
    args: [...(options.args ?? []), '--replicaof', '127.0.0.1', `${primary.port}`],
  })
  const name = 'hubs'
  const config = [
    `sentinel monitor ${name} 127.0.0.1 ${primary.port} 2`,
    `sentinel down-after-milliseconds ${name} 500`,
    `sentinel failover-timeout ${name} 2000`,
    '',
  ].join('\n')
  const sentinels = await Promise.all(
    Array.from({ length: 3 }, () => startRedis({ config, isSentinel: true })),
  )
  for (const sentinel of sentinels) {
    await sentinel.until('it knows the others and a good replica', async () => {
      const lines = (await sentinel.command('SENTINEL', 'MASTER', name)).split('\n')
      const field = (key: string) => lines[lines.indexOf(key) + 1]
      if (field('num-slaves') !== '1' || field('num-other-sentinels') !== '2') return false
      const replicas = await sentinel.command('SENTINEL', 'REPLICAS', name)
      return /master-link-status\nok/.test(replicas)
    })
  }
  const all = [primary, replica, ...sentinels]
  return {
    name,
    servers: [primary, replica],
    sentinels,
    async primaryPort() {
      const answers = await Promise.any(
        sentinels.map((one) => one.command('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', name)),
      )
      return Number(answers.split('\n')[1])
    },
    async stop() {
      await Promise.all(all.map((server) => server.stop()))
    },
  }
}

/** Nodes of a Cluster that share the slots. */
export interface RedisCluster {
  readonly nodes: readonly RedisServer[]
  stop(): Promise<void>
}

const SLOTS = 16_384

/** Starts a Cluster of primaries without replicas; a third of the slots each for the default of three. */
export async function startCluster(count = 3, options: RedisServerOptions = {}): Promise<RedisCluster> {
  // Moved slots are looked up at once, and a node that is away does not take the others down with it.
  const args = [
    ...['--cluster-enabled', 'yes', '--cluster-node-timeout', '2000'],
    ...['--cluster-require-full-coverage', 'no', ...(options.args ?? [])],
  ]
  const nodes = await Promise.all(Array.from({ length: count }, () => startRedis({ ...options, args })))
  const [first] = nodes as [RedisServer, ...RedisServer[]]
  await Promise.all(
    nodes.map(async (node, index) => {
      const [from, end] = [index, index + 1].map((part) => Math.floor((part * SLOTS) / count))
      await node.command('CLUSTER', 'ADDSLOTSRANGE', `${from}`, `${(end as number) - 1}`)
      await node.command('CLUSTER', 'SET-CONFIG-EPOCH', `${index + 1}`)
    }),
  )
  for (const node of nodes) await first.command('CLUSTER', 'MEET', '127.0.0.1', `${node.port}`)
  for (const node of nodes) {
    await node.until('all slots are served', async () => {
      const info = await node.command('CLUSTER', 'INFO')
      const slots = await node.command('CLUSTER', 'SLOTS')
      const known = nodes.every(({ port }) => slots.split('\n').includes(`${port}`))
      return info.includes('cluster_state:ok') && info.includes(`cluster_slots_ok:${SLOTS}`) && known
    })
  }
  return {
    nodes,
    async stop() {
      await Promise.all(nodes.map((node) => node.stop()))
    },
  }
}

/**
 * Below the ports that systems hand out, so that no client's connection has it a moment later; and low enough for the port of a
 * Cluster's own conversations, which is 10 000 higher.
 */
async function freePort(): Promise<number> {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 12_000)
    if ((await isFree(port)) && (await isFree(port + 10_000))) return port
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}

/** Linux ends it with this process, also where that gets no chance to. */
function spawnBound(program: string, args: readonly string[]): ChildProcessByStdio<null, Readable, Readable> {
  const stdio: ['ignore', 'pipe', 'pipe'] = ['ignore', 'pipe', 'pipe']
  if (!existsSync(SETPRIV)) return spawn(program, args, { stdio })
  return spawn(SETPRIV, ['--pdeathsig', 'KILL', program, ...args], { stdio })
}

// A test run that is cut short leaves no servers behind.
const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})
