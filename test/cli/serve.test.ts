/** `groupcast serve` as its users meet it: in a process of its own, with real signals. */
import { createServer } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { openClient } from '../support/clients.ts'
import { listen } from '../support/hub-server.ts'
import { until, within } from '../support/until.ts'
import { endRuns, groupcast, start } from './groupcast.ts'

afterEach(endRuns)

const LISTENING = /^groupcast listening on (http:\/\/127\.0\.0\.1:\d+)\n$/

async function serve(...flags: string[]) {
  const run = start(['serve', '--port', '0', ...flags])
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

test('a second signal ends it at once, with 1', async () => {
  const { url, process, outcome } = await serve('--drain-ms', '60000')
  // A client that has stopped reading and never answers the close keeps the first signal waiting.
  const client = await openClient('websocket', `${url}/events?group=a`)
  client.pause()
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
