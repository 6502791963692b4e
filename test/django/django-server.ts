/** A Django project, run by daphne on a free port: a process as a Django project has several of. */
import { type ChildProcess, spawn } from 'node:child_process'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { WebSocket } from 'ws'
import { until } from '../support/until.ts'

export interface DjangoServerOptions {
  readonly protocol: 'core' | 'pubsub'
  /** `CHANNEL_LAYERS["default"]["CONFIG"]`. */
  readonly config: Readonly<Record<string, unknown>>
}

const PROJECT = new URL('.', import.meta.url).pathname
const PATIENCE_MS = 30_000

/** A client of one of its consumers. */
export interface DjangoClient {
  /** The name of the consumer's channel. */
  readonly channel: string
  /** JSON texts, in order. */
  readonly messages: string[]
  readonly isOpen: boolean
  send(value: unknown): void
  close(): void
}

export class DjangoServer {
  readonly url: string
  readonly #process: ChildProcess
  readonly #clients: DjangoClient[] = []
  #output = ''

  constructor(url: string, process: ChildProcess) {
    this.url = url
    this.#process = process
    for (const stream of [process.stdout, process.stderr]) {
      stream?.on('data', (chunk) => {
        this.#output = (this.#output + chunk).slice(-20_000)
      })
    }
  }

  /** What it said last: errors of consumers are there. */
  get output(): string {
    return this.#output
  }

  /** Resolves when it serves. */
  async ready(): Promise<void> {
    const deadline = Date.now() + PATIENCE_MS
    for (;;) {
      const answer = await fetch(this.url).catch(() => null)
      if (answer?.ok) return
      if (this.#process.exitCode !== null || Date.now() > deadline)
        throw new Error(`Django did not start: ${this.#output}`)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }

  /** Calls a view. @returns its status and body */
  async call(path: string, body?: unknown): Promise<{ status: number; body: string }> {
    const answer = await fetch(
      this.url + path,
      body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) },
    )
    const text = await answer.text()
    if (answer.status >= 500 && answer.status !== 503)
      throw new Error(`${path}: ${answer.status}\n${this.#output}`)
    return { status: answer.status, body: text }
  }

  /** A WebSocket in a group of Django. */
  async join(group: string): Promise<DjangoClient> {
    const socket = new WebSocket(`${this.url.replace('http', 'ws')}/ws/${group}/`)
    const messages: string[] = []
    socket.on('message', (data) => messages.push(String(data)))
    socket.on('error', () => {})
    await until('a consumer of Django has opened', () => messages.length > 0 || socket.readyState > 1)
    const opened = JSON.parse(messages.shift() ?? '{}') as { channel?: string }
    if (opened.channel === undefined) throw new Error(`Django refused: ${this.#output}`)
    const client = {
      channel: opened.channel,
      messages,
      get isOpen() {
        return socket.readyState === 1
      },
      send: (value: unknown) => socket.send(JSON.stringify(value)),
      close: () => socket.close(),
    }
    this.#clients.push(client)
    return client
  }

  async stop(): Promise<void> {
    for (const client of this.#clients) client.close()
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return
    const ended = new Promise((resolve) => this.#process.once('exit', resolve))
    this.#process.kill('SIGKILL')
    await ended
  }
}

/** Starts daphne. Whoever starts it stops it. */
export async function startDjango({ protocol, config }: DjangoServerOptions): Promise<DjangoServer> {
  const port = await freePort()
  const child = spawn(
    'daphne',
    [
      '-b',
      '127.0.0.1',
      '-p',
      `${port}`,
      '-v',
      '0',
      '--application-close-timeout',
      '1',
      'project.asgi:application',
    ],
    {
      cwd: PROJECT,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...process.env,
        DJANGO_SETTINGS_MODULE: 'project.settings',
        LAYER_PROTOCOL: protocol,
        LAYER_CONFIG: JSON.stringify(config),
        PYTHONDONTWRITEBYTECODE: '1',
      },
    },
  )
  // A test run that is cut short leaves nothing behind.
  const end = () => child.kill('SIGKILL')
  process.once('exit', end)
  child.once('exit', () => process.off('exit', end))
  const server = new DjangoServer(`http://127.0.0.1:${port}`, child)
  try {
    await server.ready()
  } catch (error) {
    await server.stop()
    throw error
  }
  return server
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}
