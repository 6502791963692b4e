/** A real nats-server for tests, on a free port, with a store of its own. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { until } from './until.ts'

/** A run that is killed leaves no servers behind, where the system can see to that. */
const ENDS_WITH_US = existsSync('/usr/bin/setpriv') ? ['/usr/bin/setpriv', '--pdeathsig', 'KILL'] : []

/** What a server is started with. */
export interface NatsServerOptions {
  /** Lines of its configuration besides: users, limits. */
  readonly config?: string
  /** JetStream is on unless this is false. */
  readonly jetStream?: boolean
}

/** A server, running unless it was killed. */
export class NatsServer {
  readonly #folder = mkdtempSync(join(tmpdir(), 'groupcast-nats-'))
  #options: NatsServerOptions
  #child: ChildProcess | null = null
  #port = -1
  #log = ''

  constructor(options: NatsServerOptions = {}) {
    this.#options = options
  }

  get port(): number {
    return this.#port
  }

  get url(): string {
    return `nats://127.0.0.1:${this.#port}`
  }

  /** The end of what it has written. */
  get log(): string {
    return this.#log
  }

  /** Starts it, on the same port as before. Resolves when it accepts connections. */
  async start(options: NatsServerOptions = this.#options): Promise<void> {
    this.#options = options
    const ports = join(this.#folder, 'ports')
    rmSync(ports, { recursive: true, force: true })
    mkdirSync(ports)
    const { config = '', jetStream = true } = options
    const store = jetStream ? `jetstream { store_dir: "${this.#folder}/store" }` : ''
    const file = join(this.#folder, 'nats.conf')
    writeFileSync(
      file,
      `listen: "127.0.0.1:${this.#port}"\nports_file_dir: "${ports}"\n${store}\n${config}\n`,
    )
    // Debian has it where the PATH of an ordinary user does not lead.
    const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` }
    const [program = '', ...args] = [...ENDS_WITH_US, 'nats-server', '-c', file]
    const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'], env })
    this.#child = child
    this.#log = ''
    child.stderr?.on('data', (chunk) => {
      this.#log = `${this.#log}${chunk}`.slice(-10_000)
    })
    child.once('exit', (code, signal) => {
      if (this.#child !== child) return
      // All that follows would only say that connections are refused.
      console.error(`nats-server ended by itself (${signal ?? code}):\n${this.#log}`)
    })
    let url: string | undefined
    await until('nats-server accepts connections', () => {
      if (child.exitCode !== null) throw new Error(`nats-server ended:\n${this.#log}`)
      url = readPorts(ports)
      return url !== undefined
    })
    this.#port = Number(new URL(url ?? '').port)
  }

  /** SIGKILL. Resolves when it is gone. */
  async kill(): Promise<void> {
    const child = this.#child
    this.#child = null
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }

  /** What was stored is gone. Only while it is not running. */
  wipe(): void {
    rmSync(join(this.#folder, 'store'), { recursive: true, force: true })
  }

  /** What is stored, to be put back by the function that is returned. Only while it is not running. */
  backUp(): () => void {
    const [store, copy] = [join(this.#folder, 'store'), join(this.#folder, 'copy')]
    cpSync(store, copy, { recursive: true })
    return () => {
      this.wipe()
      cpSync(copy, store, { recursive: true })
    }
  }

  /** Stops it where it is. When this returns, it stands still. */
  pause(): void {
    const pid = this.#child?.pid
    if (pid === undefined) return
    process.kill(pid, 'SIGSTOP')
    const threads = `/proc/${pid}/task`
    const isStopped = (thread: string) => /\) [Tt] /.test(readFileSync(`${threads}/${thread}/stat`, 'utf8'))
    // Each of its threads stops when it next looks.
    while (!readdirSync(threads).every(isStopped));
  }

  resume(): void {
    this.#child?.kill('SIGCONT')
  }

  /** Ends it, and all that it stored. */
  async stop(): Promise<void> {
    await this.kill()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

/** A server that runs. */
export async function natsServer(options: NatsServerOptions = {}): Promise<NatsServer> {
  const server = new NatsServer(options)
  await server.start()
  return server
}

/** The URL that a server wrote down for its clients, when it has. */
function readPorts(folder: string): string | undefined {
  const [file] = readdirSync(folder)
  if (file === undefined) return undefined
  try {
    return (JSON.parse(readFileSync(join(folder, file), 'utf8')) as { nats?: string[] }).nats?.[0]
  } catch {
    // It is being written.
    return undefined
  }
}
