import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text as readText } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { endRuns, groupcast } from './groupcast.ts'

/** What the fake server was asked last. */
interface Asked {
  readonly request: IncomingMessage
  readonly body: string
}

let server: Server
let url: string
let asked: Asked[]
let answer: (response: ServerResponse) => void

beforeEach(async () => {
  asked = []
  answer = (response) => response.end('{"cursor": null}\n')
  server = createServer(async (request, response) => {
    asked.push({ request, body: await readText(request) })
    answer(response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})

afterEach(() => {
  endRuns()
  server.closeAllConnections()
  server.close()
})

const MESSAGE = '{"type":"x"}'
const KEY = 'key-0123456789abcdef'

function problem(status: number, document: object) {
  return (response: ServerResponse) => {
    response.writeHead(status, { 'content-type': 'application/problem+json' }).end(JSON.stringify(document))
  }
}

describe('publish', () => {
  test('posts the message and prints the answer as one line', async () => {
    const outcome = await groupcast(['publish', 'chat/a#1', MESSAGE, '--url', url])
    expect(outcome).toEqual({ code: 0, stdout: '{"cursor":null}\n', stderr: '' })
    expect(asked).toHaveLength(1)
    const [{ request, body }] = asked as [Asked]
    expect(request.method).toBe('POST')
    expect(request.url).toBe('/api/groups/chat%2Fa%231/messages')
    expect(request.headers['content-type']).toBe('application/json')
    expect(request.headers.authorization).toBeUndefined()
    expect(body).toBe(MESSAGE)
  })

  test('sends the text as it was given, also from stdin and below a path', async () => {
    const stdin = '{"type":"x",\n"n":12345678901234567890}'
    const { code } = await groupcast(['publish', 'a', '-', '--url', `${url}/below/`], { stdin })
    expect(code).toBe(0)
    expect(asked[0]?.request.url).toBe('/below/api/groups/a/messages')
    expect(asked[0]?.body).toBe(stdin)
  })

  test('sends the key of the flag, else of the variable', async () => {
    const env = { GROUPCAST_API_KEY: KEY }
    await groupcast(['publish', 'a', MESSAGE, '--url', url], { env })
    await groupcast(['publish', 'a', MESSAGE, '--url', url, '--api-key', 'other'], { env })
    expect(asked.map(({ request }) => request.headers.authorization)).toEqual([
      `Bearer ${KEY}`,
      'Bearer other',
    ])
  })

  test('a key that no header can carry is wrong usage, and not shown', async () => {
    const { code, stderr } = await groupcast(['publish', 'a', MESSAGE, '--api-key', 'hush\nhush'])
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: 'groupcast: the API key must be visible ASCII characters without spaces (it is not shown).\n',
    })
  })

  test.each<[string, (response: ServerResponse) => void, string]>([
    [
      'a refused key',
      problem(401, {
        code: 'unauthorized',
        title: 'This needs valid credentials.',
        detail: 'The key is not known.',
      }),
      'the server refused (401 unauthorized): The key is not known.',
    ],
    [
      'a message that does not fit',
      problem(422, { code: 'invalid-message', title: 'No.' }),
      'the server refused (422 invalid-message): No.',
    ],
    [
      'a detail that would rewrite the screen',
      problem(400, { code: 'bad-request', detail: 'a\u001b[2J\r\nb\u009bc' }),
      'the server refused (400 bad-request): a [2J b c',
    ],
    [
      'a page of a proxy',
      (response) => response.writeHead(502).end('<html>'.repeat(100_000)),
      'the server refused (502).',
    ],
    [
      'a problem document that is none',
      problem(500, { code: 5, detail: { a: 1 } }),
      'the server refused (500).',
    ],
    [
      'a redirect',
      (response) => response.writeHead(308, { location: 'https://elsewhere.example/' }).end(),
      'the server sends elsewhere (308): give https://elsewhere.example/ with --url.',
    ],
  ])('%s: one line, exit 1', async (_, respond, text) => {
    answer = respond
    const outcome = await groupcast(['publish', 'a', MESSAGE, '--url', url])
    expect(outcome).toEqual({ code: 1, stdout: '', stderr: `groupcast: ${text}\n` })
  })

  test('an answer that is no JSON', async () => {
    answer = (response) => response.end('OK')
    const { code, stderr } = await groupcast(['publish', 'a', MESSAGE, '--url', url])
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: `groupcast: what ${url} answers is not JSON: is it a groupcast server?\n`,
    })
  })

  test('a connection that breaks, before and within the answer', async () => {
    for (const start of [undefined, '{"cur']) {
      answer = (response) => {
        if (start === undefined) response.destroy()
        else response.writeHead(200, { 'content-length': 100 }).write(start, () => response.destroy())
      }
      const { code, stderr } = await groupcast(['publish', 'a', MESSAGE, '--url', url])
      expect({ code, stderr }).toEqual({ code: 1, stderr: `groupcast: the connection to ${url} was lost.\n` })
    }
  })

  test('a port where nothing listens', async () => {
    server.close()
    const { code, stderr } = await groupcast(['publish', 'a', MESSAGE, '--url', url])
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: `groupcast: nothing listens at ${url}: start it with groupcast serve, or give its address with --url.\n`,
    })
  })

  test('a host that there is not, and a server that does not speak TLS', async () => {
    const none = await groupcast(['publish', 'a', MESSAGE, '--url', 'http://no-such-host.invalid'])
    expect(none).toMatchObject({
      code: 1,
      stderr: 'groupcast: there is no host no-such-host.invalid: check --url and the network.\n',
    })
    const plain = await groupcast(['publish', 'a', MESSAGE, '--url', url.replace('http:', 'https:')])
    expect(plain.code).toBe(1)
    expect(plain.stderr).toMatch(/^groupcast: what listens at https:\S+ does not speak https \(\w+\)\.\n$/)
  })
})
