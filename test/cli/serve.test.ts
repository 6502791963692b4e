/** `groupcast serve` as its users meet it: in a process of its own, with real signals. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, onTestFinished, test } from 'vitest'
import { openClient } from '../support/clients.ts'
import { listen } from '../support/hub-server.ts'
import { connectRaw, requestHead } from '../support/raw.ts'
import { serverKind } from '../support/servers.ts'
import { until, within } from '../support/until.ts'
import { endRuns, groupcast, MAIN, start } from './groupcast.ts'

afterEach(endRuns)

const LISTENING = /^groupcast listening on (http:\/\/127\.0\.0\.1:\d+)\n$/
const NPM_LISTENING = new RegExp(LISTENING.source, 'm')

async function serve(flags: readonly string[] = [], env: Readonly<Record<string, string>> = {}) {
  const run = start(['serve', '--port', '0', '--backend', serverKind.name, ...flags], { env })
  let stdout = ''
  run.process.stdout.on('data', (text) => {
    stdout += text
  })
  await within('the server to listen', run.until('stdout', LISTENING))
  await until('the line is here too', () => LISTENING.test(stdout))
  return { ...run, url: LISTENING.exec(stdout)?.[1] ?? '' }
}

test('publish and subscribe work with it, over every transport', async () => {
  const { url } = await serve()
  const readers = ['websocket', 'sse', 'ndjson'].map((transport) =>
    start(['subscribe', 'a', '--url', url, '--transport', transport, '--count', '2']),
  )
  const isIn = async () => {
    const { connections } = (await (await fetch(`${url}/api/groups/a`)).json()) as {
      connections: Record<string, number>
    }
    return Object.values(connections).every((count) => count === 1)
  }
  for (let tries = 0; !(await isIn()); tries++) if (tries > 500) throw new Error('The readers did not come.')
  const first = await groupcast(['publish', 'a', '{"type":"chat.message","text":"hi"}', '--url', url])
  expect(first).toEqual({ code: 0, stdout: '{"cursor":null}\n', stderr: '' })
  await groupcast(['publish', 'a', '-', '--url', url], { stdin: '{"type":"bye"}' })
  for (const { outcome } of readers) {
    const { code, stdout } = await within('the reader to end', outcome)
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: '{"type":"chat.message","text":"hi"}\n{"type":"bye"}\n',
    })
  }
})

test('what was published while a subscriber was away comes when it comes back', async () => {
  const { url } = await serve([], { GROUPCAST_GROUPS: '[{"match":"*","history":{}}]' })
  const cursors: string[] = []
  for (const type of ['one', 'two', 'three']) {
    const { stdout } = await groupcast(['publish', 'a', JSON.stringify({ type }), '--url', url])
    cursors.push((JSON.parse(stdout) as { cursor: string }).cursor)
  }
  const lines = ['{"type":"two"}', '{"type":"three"}', ''].join('\n')
  await Promise.all(
    ['websocket', 'sse', 'ndjson'].map(async (transport) => {
      const args = ['subscribe', 'a', '--url', url, '--transport', transport, '--count', '2']
      expect((await groupcast([...args, '--cursor', cursors[0] ?? ''])).stdout).toBe(lines)
      expect((await groupcast([...args, '--history', '2'])).stdout).toBe(lines)
    }),
  )
})

describe.each(['SIGTERM', 'SIGINT'] as const)('%s', (signal) => {
  test('tells the clients to come back, delivers what was sent, and exits 0', async () => {
    const { url, process, outcome } = await serve()
    const clients = await Promise.all(
      (['websocket', 'sse', 'ndjson'] as const).map((kind) => openClient(kind, `${url}/events?group=a`)),
    )
    await groupcast(['publish', 'a', '{"type":"last words"}', '--url', url])
    process.kill(signal)
    for (const client of clients) {
      expect(await within('the end', client.ended)).toEqual({
        code: 1012,
        reason: 'The server is restarting.',
      })
      expect(client.messages).toEqual(['{"type":"last words"}'])
    }
    const { code, stdout, stderr } = await within('the process to end', outcome)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(LISTENING)
  })
})

test('npm start ends with its SIGTERM: clients are told, and no server stays behind', async () => {
  // The symptom was a server that lived on without a parent, on its port: npm signals the shell it runs scripts with, and Debian's
  // keeps the program as a child of its own unless told to become it.
  const npm = spawn('npm', ['start', '--ignore-scripts'], {
    cwd: fileURLToPath(new URL('../..', import.meta.url)),
    env: { ...process.env, GROUPCAST_PORT: '0' },
    // A group of its own, so that nothing is left of a failed test.
    detached: true,
  })
  onTestFinished(() => endGroup(npm))
  let stdout = ''
  npm.stdout.setEncoding('utf8').on('data', (text) => {
    stdout += text
  })
  // Comes when no process has its ends of the pipes any more: not npm, not the shell, not the server.
  const gone = once(npm, 'close')
  await until('the server listens', () => NPM_LISTENING.test(stdout) || npm.exitCode !== null)
  const url = NPM_LISTENING.exec(stdout)?.[1] ?? ''
  const clients = [
    await openClient('websocket', `${url}/events?group=a`),
    await openClient('sse', `${url}/events?group=a`),
  ]
  npm.kill('SIGTERM')
  for (const client of clients) {
    expect(await within('the end', client.ended)).toMatchObject({ code: 1012 })
  }
  await within('npm and the server to end', gone)
  await expect(fetch(url)).rejects.toThrow()
})

function endGroup({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL')
  } catch {
    // Nothing is left.
  }
}

test('a second signal ends it at once, with 1', async () => {
  const { url, process, outcome } = await serve(['--drain-ms', '60000'])
  // A request that has begun and never ends keeps the first signal waiting.
  const client = await connectRaw(url)
  const headers = { 'Content-Type': 'application/json', 'Content-Length': '100', Expect: '100-continue' }
  client.write(requestHead('POST', '/api/groups/a/messages', headers))
  await until('the server has it', () => client.text.includes('100 Continue'))
  process.kill('SIGTERM')
  for (let refused = false; !refused; )
    refused = await fetch(`${url}/health`).then(
      () => false,
      () => true,
    )
  process.kill('SIGTERM')
  expect((await within('the process to end', outcome)).code).toBe(1)
})

describe('what cannot work is one line and no stack', () => {
  test('a port in use', async () => {
    const other = createServer()
    const url = await listen(other as never)
    const { code, stdout, stderr } = await groupcast(['serve', '--port', new URL(url).port])
    other.close()
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toMatch(/^groupcast: .*in use.*\n$/)
  })

  test('a journal that another server has', async () => {
    const cwd = mkdtempSync(join(tmpdir(), 'groupcast-serve-'))
    onTestFinished(() => rmSync(cwd, { recursive: true }))
    writeFileSync(join(cwd, 'groupcast.config.json'), '{"groups":[{"match":"*","history":{}}]}')
    const args = ['serve', '--port', '0', '--journal', './data']
    const first = start(args, { cwd })
    await within('the first to listen', first.until('stdout', LISTENING))
    expect(await groupcast(args, { cwd })).toEqual({
      code: 1,
      stdout: '',
      stderr:
        'groupcast: another process has the journal in ./data: stop it, or choose another directory with --journal.\n',
    })
    first.process.kill('SIGTERM')
    expect(await within('the first to end', first.outcome)).toMatchObject({ code: 0, stderr: '' })
  })

  test('a directory for the journal that is a file', async () => {
    const env = { GROUPCAST_JOURNAL: MAIN, GROUPCAST_GROUPS: '[{"match":"*","history":{}}]' }
    const { code, stdout, stderr } = await groupcast(['serve', '--port', '0'], { env })
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toBe(
      `groupcast: the server cannot start: The journal's directory ${MAIN} cannot be used: EEXIST: file already exists, mkdir '${MAIN}'. Give it one that this process may write to.\n`,
    )
  })

  describe('--backend uws', () => {
    const HIDING = `export async function resolve(name, context, next) {
      if (name === 'uWebSockets.js') throw new Error("Cannot find package 'uWebSockets.js'")
      return next(name, context)
    }`
    const inline = (code: string) => `data:text/javascript,${encodeURIComponent(code)}`
    const LOADER = `import { register } from 'node:module'; register(${JSON.stringify(inline(HIDING))})`

    test.each([
      [
        'where uWebSockets.js is not installed',
        { NODE_OPTIONS: `--import=${inline(LOADER)}` },
        'Cannot find',
      ],
      ['where it has no binary', { UWS_USE_FALLBACK: '1' }, 'no native binary'],
    ])('%s', async (_where, env, why) => {
      const { code, stderr } = await groupcast(['serve', '--port', '0', '--backend', 'uws'], { env })
      expect(code).toBe(1)
      expect(stderr).toMatch(/^groupcast: .*\n$/)
      expect(stderr).toContain(why)
      expect(stderr).toContain('npm install uNetworking/uWebSockets.js#')
    })
  })

  test('a public host without keys', async () => {
    const { code, stdout, stderr } = await groupcast(['serve', '--host', '0.0.0.0', '--port', '0'])
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(/^groupcast: .*apiKeys.*--insecure.*\n$/)
  })

  test('several bad values, all at once', async () => {
    const { code, stderr } = await groupcast(['serve', '--port', 'http'], {
      env: { GROUPCAST_LOG_LEVEL: 'loud' },
    })
    expect(code).toBe(2)
    expect(stderr).toContain('--port')
    expect(stderr).toContain('GROUPCAST_LOG_LEVEL')
    expect(stderr).not.toMatch(/^\s+at /m)
  })
})
