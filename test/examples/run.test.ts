/** Every example runs as `examples/README.md` says, on the built package, and ends by itself: nothing keeps its process alive. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { fileURLToPath } from 'node:url'
import { describe, expect, onTestFinished, test } from 'vitest'
import { openClient } from '../support/clients.ts'
import { until, within } from '../support/until.ts'
import { listen } from './example.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const README = readFileSync(new URL('../../examples/README.md', import.meta.url), 'utf8')

/** Where each example has a consumer. */
const EVENTS: Readonly<Record<string, string>> = {
  'send-event': '/events/',
  express: '/events?group=sensors',
  fastify: '/events?group=sensors',
  chat: '/chat/lobby?name=ann',
  members: '/news',
  worker: '/events',
  stream: '/events',
}

const examples = readdirSync(new URL('../../examples', import.meta.url), { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name)

test('every example is listed, and every listed one is there', () => {
  expect([...README.matchAll(/^\| \[(.+?)\]/gm)].map(([, name]) => name).sort()).toEqual(examples.sort())
  expect(Object.keys(EVENTS).sort()).toEqual(examples.sort())
})

describe.each(examples)('node examples/%s/server.js', (name) => {
  test.each(['SIGINT', 'SIGTERM'] as const)('runs, and ends on %s', async (signal) => {
    const program = run(`examples/${name}/server.js`)
    await until(`${name} says where it is`, () => /http:\/\/127\.0\.0\.1:\d+/.test(program.output))
    const [url = ''] = /http:\/\/127\.0\.0\.1:\d+/.exec(program.output) ?? []
    const events = url + EVENTS[name]
    const webSocket = await openClient('websocket', events)
    const listener = await listen(events)
    // Two connections without a request: one that waits for the next, and one that a browser would open in advance.
    await (await fetch(`${url}/nowhere`)).text()
    const spare = connect(Number(new URL(url).port), '127.0.0.1')
    onTestFinished(() => void spare.destroy())
    await once(spare, 'connect')

    process.kill(program.pid, signal)
    expect(await within('the goodbye', webSocket.ended)).toMatchObject({ code: 1012 })
    await within('the end of the stream', listener.lost)
    expect(await within('the end of the process', program.exitCode)).toBe(0)
    expect(program.errors).toBe('')
  })
})

function run(file: string) {
  if (!existsSync(`${ROOT}/dist/index.js`)) throw new Error('Run "npm run build" before the tests.')
  const child = spawn(process.execPath, [file], {
    cwd: ROOT,
    env: { PATH: process.env.PATH ?? '', PORT: '0' },
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const program = {
    pid: child.pid ?? 0,
    output: '',
    errors: '',
    exitCode: new Promise<number | null>((resolve) => child.on('close', resolve)),
  }
  child.stdout.on('data', (text) => {
    program.output += text
  })
  child.stderr.on('data', (text) => {
    program.errors += text
  })
  return program
}
