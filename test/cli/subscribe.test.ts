import { spawn } from 'node:child_process'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type WebSocket, WebSocketServer } from 'ws'
import { backoffMs } from '../../src/cli/subscribe/backoff.ts'
import { readEnvelope } from '../../src/cli/subscribe/texts.ts'
import { endRuns, groupcast, MAIN, start } from './groupcast.ts'

const TRANSPORTS = ['websocket', 'sse', 'ndjson'] as const

/** One subscriber as the fake server sees it, alike on every transport. */
interface Subscriber {
  readonly request: IncomingMessage
  /** Whether it asked for envelopes, as ndjson does. */
  readonly envelope: boolean
  /** Starts the response, where there is one. */
  open(): void
  /** Sends a message in its envelope. */
  send(json: string, cursor?: string): void
  /** Sends a control object. */
  control(name: string, value: object): void
  /** Sends a text as it is: a frame, the data of an event, a line. */
  raw(text: string): void
  close(code: number, reason: string): void
  cut(): void
}

let server: Server
let url: string
/** What happens to the next subscribers; the last one stays. */
let behaviours: ((subscriber: Subscriber, response: ServerResponse | null) => void)[]
let subscribers: Subscriber[]

beforeEach(async () => {
  subscribers = []
  behaviours = [(subscriber) => subscriber.open()]
  const sockets = new WebSocketServer({ noServer: true })
  server = createServer((request, response) => welcome(ofResponse(request, response), response))
  server.on('upgrade', (request, socket, head) => {
    sockets.handleUpgrade(request, socket, head, (webSocket) =>
      welcome(ofWebSocket(request, webSocket), null),
    )
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})

afterEach(() => {
  endRuns()
  for (const subscriber of subscribers) subscriber.cut()
  server.closeAllConnections()
  server.close()
})

function welcome(subscriber: Subscriber, response: ServerResponse | null): void {
  subscribers.push(subscriber)
  const behaviour = behaviours.length > 1 ? behaviours.shift() : behaviours[0]
  behaviour?.(subscriber, response)
}

function ofWebSocket(request: IncomingMessage, socket: WebSocket): Subscriber {
  const envelope = socket.protocol === 'groupcast.v1'
  return {
    request,
    envelope,
    open: () => {},
    send: (json, cursor) => socket.send(enveloped(json, cursor)),
    control: (name, value) => socket.send(JSON.stringify({ [name]: value })),
    raw: (text) => socket.send(text),
    close: (code, reason) => socket.close(code, reason),
    cut: () => socket.terminate(),
  }
}

function ofResponse(request: IncomingMessage, response: ServerResponse): Subscriber {
  const isLines = request.headers.accept === 'application/x-ndjson'
  const envelope = isLines || (request.url ?? '').includes('envelope=1')
  const open = () => {
    const type = isLines ? 'application/x-ndjson' : 'text/event-stream; charset=utf-8'
    if (!response.headersSent) response.writeHead(200, { 'content-type': type }).flushHeaders()
  }
  const raw = (text: string) => {
    open()
    response.write(isLines ? `${text}\n\n` : `data: ${text}\n\n`)
  }
  const control = (name: string, value: object) => raw(JSON.stringify({ [name]: value }))
  const close = (code: number, reason: string) => {
    control('close', { code, reason })
    response.end()
  }
  const send = (json: string, cursor?: string) => raw(enveloped(json, cursor))
  return { request, envelope, open, send, control, raw, close, cut: () => response.destroy() }
}

/** From where each subscriber wanted to go on. */
function askedCursors(): (string | null)[] {
  return subscribers.map(({ request }) => new URL(request.url ?? '', url).searchParams.get('cursor'))
}

const enveloped = (json: string, cursor = 'e.1') => `{"group":"a","cursor":"${cursor}","message":${json}}`

// Numbers that JavaScript would round, or write otherwise, show that the text itself is printed.
const FIRST = '{"type":"x","n":12345678901234567890,"f":1.0}'
const SECOND = '{"type":"y","text":"ü \\n\\u0000 }"}'

describe.each(TRANSPORTS)('subscribe --transport %s', (transport) => {
  const args = (...more: string[]) => [
    'subscribe',
    'a',
    'b/#1',
    '--url',
    url,
    '--transport',
    transport,
    ...more,
  ]
  const urlOf = (query: string) => `/events?${query}${transport === 'sse' ? '&envelope=1' : ''}`

  test('prints messages as they come and ends after --count', async () => {
    behaviours = [
      (subscriber) => {
        for (const json of [FIRST, SECOND, FIRST]) subscriber.send(json)
      },
    ]
    const { code, stdout, stderr } = await groupcast(args('--count', '2'))
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${FIRST}\n${SECOND}\n` })
    expect(stderr).toMatch(/^groupcast: connected to http:\S+ \(\w+\)\n$/)
    expect(subscribers[0]?.request.url).toBe(urlOf('group=a&group=b%2F%231'))
    expect(subscribers[0]?.envelope).toBe(true)
  })

  test('--envelope prints envelopes', async () => {
    behaviours = [
      (subscriber) => {
        subscriber.raw('{"open":{"connection":"c","node":"n","groups":[],"heartbeatMs":0}}')
        subscriber.send(FIRST)
      },
    ]
    const { code, stdout } = await groupcast(args('--envelope', '--count', '1'))
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${enveloped(FIRST)}\n` })
  })

  test('says on stderr what is no message', async () => {
    behaviours = [
      (subscriber) => {
        subscriber.raw('what?')
        subscriber.control('reset', { groups: ['a'] })
        subscriber.send(FIRST)
      },
    ]
    const { stdout, stderr } = await groupcast(args('--count', '1'))
    expect(stdout).toBe(`${FIRST}\n`)
    expect(stderr.split('\n').slice(1, -1)).toEqual([
      'groupcast: left out 5 characters that are not a JSON object.',
      'groupcast: messages of a may have been missed: reload what depends on them.',
    ])
  })

  test('comes back after a lost connection and after a close that asks for it', async () => {
    let first: Subscriber | undefined
    behaviours = [
      (subscriber) => {
        subscriber.send(FIRST, 'e.4')
        first = subscriber
      },
      (subscriber) => {
        subscriber.send(SECOND, 'e.5~x')
        subscriber.close(4008, 'Too slow.')
      },
      (subscriber) => subscriber.send(FIRST),
    ]
    const run = start(args('--count', '3'))
    await run.until('stdout', /\n/)
    first?.cut()
    const { code, stdout, stderr } = await run.outcome
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${FIRST}\n${SECOND}\n${FIRST}\n` })
    expect(askedCursors()).toEqual([null, 'e.4', 'e.5~x'])
    expect(stderr).toMatch(/ was lost\. Trying again in 0\.\d s\.\n|again in 1\.0 s\.\n/)
    expect(stderr).toMatch(
      /closed the connection \(4008 slow-consumer\): Too slow\. Trying again in [012]\.\d s\.\n/,
    )
  })

  test('goes on after the last cursor that it was told, and begins where --cursor says', async () => {
    const gone = (subscriber: Subscriber) => subscriber.close(4008, '')
    behaviours = [
      (subscriber) => {
        subscriber.control('open', { cursor: 'e.3', connection: 'c', node: 'n', groups: [], heartbeatMs: 0 })
        gone(subscriber)
      },
      (subscriber) => {
        subscriber.control('open', { connection: 'c', node: 'n', groups: [], heartbeatMs: 0 })
        subscriber.send(FIRST, 'e.4')
        subscriber.control('reset', { groups: ['a'], cursor: 'e.9' })
        subscriber.raw('{}')
        subscriber.raw('{"cursor":"e.10"}')
        gone(subscriber)
      },
      (subscriber) => subscriber.send(SECOND),
    ]
    const { code, stdout, stderr } = await groupcast(args('--count', '2', '--cursor', 'e.1'))
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${FIRST}\n${SECOND}\n` })
    expect(askedCursors()).toEqual(['e.1', 'e.3', 'e.10'])
    expect(stderr).toMatch(/messages of a may have been missed/)
  })

  test('--history asks for the newest, and a message of the past moves no cursor', async () => {
    behaviours = [
      (subscriber) => {
        subscriber.raw(`{"group":"b","past":"e.1","message":${FIRST}}`)
        subscriber.close(4008, '')
      },
      (subscriber) => subscriber.send(SECOND),
    ]
    const { stdout } = await groupcast(args('--count', '2', '--history', '20'))
    expect(stdout).toBe(`${FIRST}\n${SECOND}\n`)
    const asked = subscribers.map(({ request }) => request.url)
    expect(asked).toEqual(Array(2).fill(urlOf('group=a&group=b%2F%231&history=20')))
  })

  test('ends with 1 when the server says not to come back', async () => {
    behaviours = [(subscriber) => subscriber.close(4503, 'Not for you.')]
    const { code, stderr } = await groupcast(args())
    expect(code).toBe(1)
    expect(stderr).toMatch(
      /\ngroupcast: the server closed the connection \(4503 forbidden\): Not for you\.\n$/,
    )
    expect(subscribers).toHaveLength(1)
  })

  test('ends with 0 after a normal close', async () => {
    behaviours = [(subscriber) => subscriber.close(1000, 'Done.')]
    const { code, stderr } = await groupcast(args())
    expect(code).toBe(0)
    expect(stderr).toMatch(/\ngroupcast: the server closed the connection \(1000\): Done\.\n$/)
  })

  test('--no-reconnect ends with 1 when the connection is lost, or cannot be made', async () => {
    let first: Subscriber | undefined
    behaviours = [
      (subscriber) => {
        subscriber.send(FIRST)
        first = subscriber
      },
    ]
    const run = start(args('--no-reconnect'))
    await run.until('stdout', /\n/)
    first?.cut()
    const lost = await run.outcome
    expect(lost).toMatchObject({ code: 1, stdout: `${FIRST}\n` })
    expect(lost.stderr).toMatch(/\ngroupcast: the connection .*was lost\.\n$/)
    server.closeAllConnections()
    server.close()
    expect(await groupcast(args('--no-reconnect'))).toEqual({
      code: 1,
      stdout: '',
      stderr: `groupcast: nothing listens at ${url}: start it with groupcast serve, or give its address with --url.\n`,
    })
  })

  test.each(['SIGINT', 'SIGTERM'] as const)('%s ends it with 0, connected or waiting', async (signal) => {
    const connected = start(args())
    await connected.until('stderr', /connected to/)
    connected.process.kill(signal)
    expect(await connected.outcome).toMatchObject({ code: 0 })
    behaviours = [(subscriber) => subscriber.close(1012, '')]
    const waiting = start(args())
    await waiting.until('stderr', /(?:Trying again.*){2}/s)
    waiting.process.kill(signal)
    expect(await waiting.outcome).toMatchObject({ code: 0 })
  })

  test('ends quietly when its reader has gone', async () => {
    behaviours = [
      (subscriber) => {
        const timer = setInterval(() => subscriber.send(FIRST), 20)
        subscriber.request.socket.on('close', () => clearInterval(timer))
      },
    ]
    const command = [process.execPath, MAIN, ...args()].map((part) => `'${part}'`).join(' ')
    const shell = spawn('bash', ['-c', `set -o pipefail; ${command} | head -n 1`])
    let written = ''
    for (const stream of [shell.stdout, shell.stderr]) stream.on('data', (text) => (written += text))
    const code = await new Promise((resolve) => shell.on('close', resolve))
    expect(code).toBe(0)
    expect(written.split('\n').sort()).toEqual([
      '',
      `groupcast: connected to ${url}/events?group=a&group=b%2F%231 (${transport})`,
      FIRST,
    ])
  })

  test('a slow trickle of bytes and a burst come out the same', async () => {
    behaviours = [
      (subscriber) => {
        for (let i = 0; i < 5000; i++) subscriber.send(`{"type":"x","i":${i},"text":"äöü€"}`)
      },
    ]
    const { stdout } = await groupcast(args('--count', '5000'))
    const numbers = stdout
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as { i: number }).i)
    expect(numbers).toEqual(Array.from({ length: 5000 }, (_, i) => i))
  })
})

describe.each(['sse', 'ndjson'])('subscribe --transport %s to a server that refuses', (transport) => {
  const args = (...more: string[]) => ['subscribe', 'a', '--url', url, '--transport', transport, ...more]
  const refuse = (status: number, code: string) => (_: Subscriber, response: ServerResponse | null) => {
    response?.writeHead(status, { 'content-type': 'application/problem+json' })
    response?.end(JSON.stringify({ code, detail: 'Because.' }))
  }

  test('for good', async () => {
    behaviours = [refuse(403, 'origin-not-allowed')]
    const text = 'groupcast: the server refused (403 origin-not-allowed): Because.\n'
    expect(await groupcast(args())).toEqual({ code: 1, stdout: '', stderr: text })
  })

  test('for now', async () => {
    behaviours = [refuse(503, 'restarting'), refuse(502, 'unknown'), (subscriber) => subscriber.send(FIRST)]
    const { code, stderr } = await groupcast(args('--count', '1'))
    expect(code).toBe(0)
    expect(stderr).toMatch(/refused \(503 restarting\): Because\. Trying again/)
    expect(stderr).toMatch(/refused \(502 unknown\): Because\. Trying again/)
  })

  test('by answering something else', async () => {
    behaviours = [(_, response) => response?.writeHead(200, { 'content-type': 'text/html' }).end('<p>')]
    const { code, stderr } = await groupcast(args())
    expect(code).toBe(1)
    expect(stderr).toMatch(
      /^groupcast: the server answers with text\/html, not .*: is it a groupcast server, .*\n$/,
    )
  })
})

describe('subscribe --transport websocket to a server that refuses', () => {
  test.each([403, 503])('with %d', async (status) => {
    server.removeAllListeners('upgrade')
    server.on('upgrade', (_, socket) => {
      const body = JSON.stringify({ code: status === 403 ? 'forbidden' : 'restarting', detail: 'Because.' })
      socket.end(`HTTP/1.1 ${status} No\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
    })
    const run = start(['subscribe', 'a', '--url', url])
    if (status === 403) {
      const stderr = 'groupcast: the server refused (403 forbidden): Because.\n'
      expect(await run.outcome).toEqual({ code: 1, stdout: '', stderr })
    } else {
      await run.until('stderr', /(?:refused \(503 restarting\): Because\. Trying again.*){2}/s)
    }
  })

  test('without the subprotocol of envelopes', async () => {
    server.removeAllListeners('upgrade')
    const sockets = new WebSocketServer({ noServer: true, handleProtocols: () => false })
    server.on('upgrade', (request, socket, head) => {
      sockets.handleUpgrade(request, socket, head, (webSocket) =>
        welcome(ofWebSocket(request, webSocket), null),
      )
    })
    const { code, stderr } = await groupcast(['subscribe', 'a', '--url', url])
    expect(code).toBe(1)
    expect(stderr).toBe(`groupcast: the request to ${url} failed: Server sent no subprotocol.\n`)
  })
})

describe('texts', () => {
  test.each<[string, unknown]>([
    ['{"message":{"type":"x","n":1.0}}', { kind: 'message', json: '{"type":"x","n":1.0}', cursor: null }],
    ['{"cursor":"e.1","message":{"a":1.0}}', { kind: 'message', json: '{"a":1.0}', cursor: 'e.1' }],
    ['{"group":"b","past":"e.1","message":{"a":1.0}}', { kind: 'message', json: '{"a":1.0}', cursor: null }],
    ['{"message":{"a":1},"group":"a","cursor":5}', { kind: 'message', json: '{"a":1}', cursor: null }],
    ['{ "group":"a","message":{"a" : 1} }', { kind: 'message', json: '{"a":1}', cursor: null }],
    ['{"group":"\\"","message":{"b":\r\n2}}', { kind: 'message', json: '{"b": 2}', cursor: null }],
    ['{"reply":1,"result":null}', null],
    ['{}', null],
    ['{"cursor":"e.1"}', { kind: 'position', cursor: 'e.1' }],
    ['{"reset":{"groups":["a"],"cursor":"e.1"}}', expect.objectContaining({ kind: 'notice', cursor: 'e.1' })],
    ['{"open":{}}', { kind: 'position', cursor: null }],
    ['{"open":{"cursor":"e.1"}}', { kind: 'position', cursor: 'e.1' }],
    ['{"close":{"code":"x"}}', null],
    ['{"close":null}', null],
    [
      '{"reset":5}',
      {
        kind: 'notice',
        text: 'messages of all groups may have been missed: reload what depends on them.',
        cursor: null,
      },
    ],
    ['[', { kind: 'notice', text: 'left out 1 characters that are not a JSON object.', cursor: null }],
    ['null', { kind: 'notice', text: 'left out 4 characters that are not a JSON object.', cursor: null }],
  ])('envelope %s', (text, meaning) => {
    expect(readEnvelope(text, false)).toEqual(meaning)
  })
})

test('the waits between attempts grow to half a minute, all of them at random from nothing', () => {
  const longest = Array.from({ length: 8 }, (_, i) => backoffMs(i + 1, () => 1))
  expect(longest).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000])
  expect(backoffMs(5, () => 0)).toBe(0)
  expect(backoffMs(2000, () => 1)).toBe(30_000)
})
