/** Every route: its successes, its errors, and that the description knows of each and of no other. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { ERRORS, type ErrorCode, GroupcastError } from '../../src/errors.ts'
import {
  type Answer,
  closeServer,
  exchange,
  openTestApi,
  type SendOptions,
  type TestApi,
} from './api-server.ts'
import { FakeHub } from './fake-hub.ts'

const KEY = 'a-key'
const hi = { type: 'chat.message', text: 'hi' }

let api: TestApi

beforeAll(async () => {
  api = await openTestApi({ apiKeys: [KEY], maxBodyBytes: 1000, allowedHosts: ['127.0.0.1'] })
})

afterAll(() => closeServer(api.server))

beforeEach(() => {
  const { status } = new FakeHub()
  Object.assign(api.hub, { status, failure: null, capacity: 100, cursor: null })
  api.hub.sent.length = 0
  api.hub.queued.length = 0
  api.hub.closed.length = 0
  api.errors.length = 0
})

function send(method: string, path: string, options: SendOptions = {}): Promise<Answer> {
  return api.send(method, path, {
    ...options,
    headers: { Authorization: `Bearer ${KEY}`, ...options.headers },
  })
}

function expectProblem(answer: Answer, code: ErrorCode): { readonly detail?: string } {
  const problem = answer.json() as { readonly detail?: string }
  const { httpStatus: status, message: title } = ERRORS[code]
  expect(problem).toMatchObject({ type: 'about:blank', title, status, code })
  expect(answer.status).toBe(status)
  expect(answer.headers['content-type']).toBe('application/problem+json')
  return problem
}

describe('POST /api/groups/{group}/messages', () => {
  const path = '/api/groups/a/messages'

  test('hands the message to the hub and answers with the cursor', async () => {
    const first = await send('POST', path, { body: hi })
    expect([first.status, first.json()]).toEqual([200, { cursor: null }])
    api.hub.cursor = 'epoch.7'
    const second = await send('POST', path, { body: hi })
    expect(second.json()).toEqual({ cursor: 'epoch.7' })
    expect(second.headers['content-length']).toBe(String(second.text.length))
    expect(api.hub.sent).toMatchObject([
      { name: 'a', message: hi },
      { name: 'a', message: hi },
    ])
  })

  test.each(['application/json; charset=utf-8', 'Application/JSON', 'application/vnd.example+json'])(
    'takes %s',
    async (type) => {
      const answer = await send('POST', path, { body: JSON.stringify(hi), headers: { 'Content-Type': type } })
      expect(answer.status).toBe(200)
    },
  )

  test.each([
    'text/plain',
    'application/x-www-form-urlencoded',
    'application/x-ndjson',
    'text/plain; application/json',
    'application/json, text/plain',
    'application/jsonx',
    '',
  ])('refuses %j: a page could send it unasked', async (type) => {
    const answer = await send('POST', path, { body: JSON.stringify(hi), headers: { 'Content-Type': type } })
    expectProblem(answer, 'unsupported-media-type')
    expect(api.hub.sent).toEqual([])
  })

  test('refuses a body without a type, and one that is compressed', async () => {
    expectProblem(await send('POST', path, { body: JSON.stringify(hi) }), 'unsupported-media-type')
    const compressed = await send('POST', path, { body: hi, headers: { 'Content-Encoding': 'gzip' } })
    expectProblem(compressed, 'unsupported-media-type')
  })

  const json = { 'Content-Type': 'application/json' }

  test.each<[string, string | Buffer, ErrorCode]>([
    ['nothing', '', 'invalid-json'],
    ['half an object', '{"type":', 'invalid-json'],
    ['bytes that are not UTF-8', Buffer.from([0x22, 0xff, 0x22]), 'invalid-json'],
    ['65 levels', `${'['.repeat(65)}${']'.repeat(65)}`, 'json-too-deep'],
    ['no object', '"x"', 'invalid-message'],
    ['no type', '{"text":"hi"}', 'invalid-message'],
    ['a reserved type', '{"type":"groupcast.reset"}', 'invalid-message'],
    ['1001 bytes', JSON.stringify({ type: 'x' }).padEnd(1001), 'message-too-large'],
  ])('refuses %s', async (_what, body, code) => {
    expectProblem(await send('POST', path, { body, headers: json }), code)
    expect(api.hub.sent).toEqual([])
  })

  test('takes exactly as many bytes as the limit', async () => {
    const body = JSON.stringify({ type: 'x', text: '' }).padEnd(1000)
    expect((await send('POST', path, { body, headers: json })).status).toBe(200)
  })
})

describe('names in a path', () => {
  test.each(['a/b:c@d#e$f~g-h_i', '__proto__', 'constructor', 'toString', '%', 'a b'])('%j', async (name) => {
    const answer = await send('GET', `/api/groups/${encodeURIComponent(name)}`)
    if (/[% ]/.test(name)) expectProblem(answer, 'invalid-name')
    else expect(answer.json()).toEqual({ name, connections: { websocket: 0, sse: 0, ndjson: 0 } })
  })

  test.each(['%', '%zz', '%ff', '%ed%a0%80', 'a%2'])('%s cannot be decoded', async (text) => {
    expectProblem(await send('GET', `/api/groups/${text}`), 'bad-request')
  })

  test('a name that is too long is cut in the text about it', async () => {
    const { detail = '' } = expectProblem(
      await send('GET', `/api/groups/${'x'.repeat(5000)}`),
      'invalid-name',
    )
    expect(detail.length).toBeLessThan(250)
  })
})

describe('POST /api/publish', () => {
  const path = '/api/publish'

  test('sends to each group, and each fails alone', async () => {
    api.hub.cursor = 'e.1'
    const answer = await send('POST', path, { body: { groups: ['a', 'not a name', 'b', 'a'], message: hi } })
    expect(answer.json()).toEqual({
      results: [
        { group: 'a', cursor: 'e.1' },
        {
          group: 'not a name',
          error: { code: 'invalid-name', message: expect.stringContaining('"not a name"') },
        },
        { group: 'b', cursor: 'e.1' },
        { group: 'a', cursor: 'e.1' },
      ],
    })
    expect(api.hub.sent.map(({ name }) => name)).toEqual(['a', 'b', 'a'])
  })

  test('a message that is not one fails for each group', async () => {
    const answer = await send('POST', path, { body: { groups: ['a', 'b'], message: 7 } })
    const error = { code: 'invalid-message', message: expect.any(String) }
    expect(answer.json()).toEqual({
      results: [
        { group: 'a', error },
        { group: 'b', error },
      ],
    })
  })

  test('a failure of the layer is told without its text, and reported', async () => {
    api.hub.failure = new Error('redis://user:secret@db is down')
    const answer = await send('POST', path, { body: { groups: ['a'], message: hi } })
    expect(answer.json()).toEqual({
      results: [{ group: 'a', error: { code: 'internal-error', message: ERRORS['internal-error'].message } }],
    })
    expect(api.errors).toEqual([{ error: api.hub.failure, context: { where: 'publish' } }])
  })

  test.each<[unknown]>([
    [[]],
    [{}],
    [{ message: hi }],
    [{ groups: ['a'] }],
    [{ groups: [], message: hi }],
    [{ groups: 'a', message: hi }],
    [{ groups: [1], message: hi }],
    [{ groups: ['a'], message: hi, group: 'b' }],
    [{ groups: { length: 1 }, message: hi }],
  ])('refuses %j', async (body) => {
    const answer = await send('POST', path, { body: body as object })
    expect(expectProblem(answer, 'bad-request').detail).toBeTypeOf('string')
    expect(api.hub.sent).toEqual([])
  })

  test('a key that was put in by way of __proto__ is one too many', async () => {
    const body = '{"groups":["a"],"message":{"type":"x"},"__proto__":{"x":1}}'
    expectProblem(
      await send('POST', path, { body, headers: { 'Content-Type': 'application/json' } }),
      'bad-request',
    )
  })
})

describe('POST /api/channels/{channel}/messages', () => {
  const path = '/api/channels/thumbnails/messages'

  test('puts the message into the channel', async () => {
    const answer = await send('POST', path, { body: hi })
    expect([answer.status, answer.json()]).toEqual([202, {}])
    expect(api.hub.queued).toMatchObject([{ name: 'thumbnails', message: hi }])
    expect((await send('POST', '/api/channels/node!c1/messages', { body: hi })).status).toBe(202)
  })

  test('a full channel asks to come back', async () => {
    api.hub.capacity = 0
    const answer = await send('POST', path, { body: hi })
    expectProblem(answer, 'channel-full')
    expect(answer.headers['retry-after']).toBe('1')
  })

  test('a bad name', async () => {
    expectProblem(await send('POST', '/api/channels/%20/messages', { body: hi }), 'invalid-name')
    expectProblem(await send('POST', '/api/channels/!x/messages', { body: hi }), 'invalid-name')
  })
})

describe('groups', () => {
  const a = { name: 'a', connections: { websocket: 1, sse: 2, ndjson: 0 } }

  test('are listed with their connections', async () => {
    expect((await send('GET', '/api/groups')).json()).toEqual({ groups: [a] })
    expect((await send('GET', '/api/groups/a')).json()).toEqual(a)
  })

  test('keep no history', async () => {
    expectProblem(await send('GET', '/api/groups/a/messages?limit=1'), 'history-not-available')
  })
})

describe('DELETE /api/connections/{id}', () => {
  test('closes a connection of this node', async () => {
    const answer = await send('DELETE', '/api/connections/here')
    expect([answer.status, answer.json()]).toEqual([200, { result: 'closed' }])
    await send('DELETE', '/api/connections/here?code=4000&reason=go%20away&code=4001')
    expect(api.hub.closed).toEqual([{ id: 'here' }, { id: 'here', code: 4001, reason: 'go away' }])
  })

  test('tells the node of another', async () => {
    const answer = await send('DELETE', '/api/connections/elsewhere.1?code=1000')
    expect([answer.status, answer.json()]).toEqual([202, { result: 'forwarded' }])
  })

  test('an unknown one', async () => {
    expectProblem(await send('DELETE', '/api/connections/__proto__'), 'unknown-connection')
  })

  test.each([
    '999',
    '1002',
    '1005',
    '1006',
    '1015',
    '2999',
    '5000',
    '4000.0',
    '0xfa0',
    '4e3',
    ' 4000',
    '',
    '-4000',
    'x',
  ])('refuses the code %j', async (code) => {
    const answer = await send('DELETE', `/api/connections/here?code=${encodeURIComponent(code)}`)
    expect(expectProblem(answer, 'bad-request').detail).toContain('code: must be')
    expect(api.hub.closed).toEqual([])
  })

  test('refuses a reason that fits no close frame', async () => {
    const fits = encodeURIComponent('é'.repeat(61))
    expect((await send('DELETE', `/api/connections/here?reason=${fits}`)).status).toBe(200)
    for (const reason of ['x'.repeat(124), 'é'.repeat(62)]) {
      const answer = await send('DELETE', `/api/connections/here?reason=${encodeURIComponent(reason)}`)
      expect(expectProblem(answer, 'bad-request').detail).toContain('123 bytes')
    }
  })
})

describe('the server itself', () => {
  const noKey = { headers: { Authorization: '' } }

  test('is healthy', async () => {
    expect((await send('GET', '/health', noKey)).json()).toEqual({ status: 'ok' })
  })

  test('is ready, or says why not', async () => {
    expect((await send('GET', '/ready', noKey)).json()).toEqual({ status: 'ready' })
    api.hub.status = {
      ready: false,
      draining: false,
      layer: { state: 'connecting', reason: 'No broker yet' },
    }
    const answer = await send('GET', '/ready', noKey)
    expect([answer.status, answer.json()]).toEqual([503, { status: 'not-ready', reason: 'No broker yet' }])
    api.hub.status = { ready: false, draining: false, layer: { state: 'connecting' } }
    expect((await send('GET', '/ready')).json()).toMatchObject({
      reason: expect.stringContaining('connecting'),
    })
    api.hub.status = { ready: false, draining: true, layer: { state: 'ready' } }
    expect((await send('GET', '/ready')).json()).toMatchObject({
      reason: expect.stringContaining('draining'),
    })
  })

  test('has metrics', async () => {
    const answer = await send('GET', '/metrics')
    expect(answer.headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8')
    const lines = answer.text.split('\n')
    expect(lines).toEqual(
      expect.arrayContaining([
        'groupcast_connections{transport="websocket"} 1',
        'groupcast_connections{transport="sse"} 2',
        'groupcast_connections{transport="ndjson"} 0',
        'groupcast_groups 1',
        'groupcast_ready 1',
        'groupcast_info{version="1.2.3"} 1',
        'groupcast_connections_opened_total 10',
        'groupcast_connections_denied_total 1',
        'groupcast_messages_received_total 2',
        'groupcast_publications_total 0',
        'groupcast_deliveries_total 3',
        'groupcast_slow_consumers_total 4',
        'groupcast_dead_connections_total 5',
        'groupcast_errors_total 6',
      ]),
    )
    expect(answer.text).toContain('\nprocess_cpu_seconds_total ')
    expect((await send('GET', '/metrics')).text).toContain('groupcast_connections_opened_total 10\n')
  })
})

describe('what is not there', () => {
  test('an unknown path of the API', async () => {
    for (const path of [
      '/api',
      '/api/',
      '/api/x',
      '/api/groups/',
      '/api/groups//messages',
      '/api/groups/a/b/c',
    ]) {
      expectProblem(await send('GET', path), 'not-found')
    }
  })

  test('other paths are the application’s', async () => {
    for (const path of ['/', '/apis', '/health/', '/healthy', '/constructor', '/__proto__', '//api/groups']) {
      const answer = await exchange(api.port, 'POST', path, { body: hi })
      expect([answer.status, answer.text]).toEqual([418, 'the application'])
    }
  })

  test('another method', async () => {
    const answer = await send('PUT', '/api/groups/a/messages', { body: hi })
    expectProblem(answer, 'method-not-allowed')
    expect(answer.headers.allow).toBe('POST, GET, HEAD, OPTIONS')
    expect((await send('OPTIONS', '/api/publish')).headers.allow).toBe('POST, OPTIONS')
  })

  test('HEAD is answered like GET, without a body', async () => {
    for (const path of ['/api/groups', '/api/groups/%zz', '/health']) {
      const get = await send('GET', path)
      const head = await send('HEAD', path)
      expect([head.status, head.text]).toEqual([get.status, ''])
      expect(head.headers['content-length']).toBe(get.headers['content-length'])
    }
  })
})

describe('failures of the hub', () => {
  const calls: [string, string, SendOptions][] = [
    ['POST', '/api/groups/a/messages', { body: hi }],
    ['POST', '/api/channels/a/messages', { body: hi }],
    ['GET', '/api/groups', {}],
    ['GET', '/api/groups/a', {}],
    ['DELETE', '/api/connections/here', {}],
    ['GET', '/metrics', {}],
  ]

  test.each(calls)('%s %s tells nothing of them, and reports each once', async (method, path, options) => {
    const secret = Object.assign(new Error('secret'), { code: 'ECONNREFUSED' })
    for (const failure of [secret, new GroupcastError('internal-error', 'secret')]) {
      api.errors.length = 0
      api.hub.failure = failure
      const answer = await send(method, path, options)
      expectProblem(answer, 'internal-error')
      expect(answer.text).not.toContain('secret')
      expect(api.errors).toMatchObject([{ error: failure }])
    }
  })

  test('a hub that stops asks to come back', async () => {
    for (const code of ['hub-closed', 'restarting'] as const) {
      api.hub.failure = new GroupcastError(code, 'for developers')
      for (const [method, path, options] of calls.slice(0, 2)) {
        const answer = await send(method, path, options)
        expectProblem(answer, code)
        expect(answer.headers['retry-after']).toBe('1')
        expect(answer.text).not.toContain('developers')
      }
    }
    expect(api.errors).toEqual([])
  })
})

test('the description holds what these tests have seen, and nothing more', async () => {
  const { described } = api
  for (const [path, operations] of Object.entries(described.document.paths)) {
    for (const [method, { tags, responses }] of Object.entries(operations)) {
      if (!tags.includes('streams')) await sendWhatAnyRouteRefuses(method.toUpperCase(), path, responses)
    }
  }
  // The other half, that nothing undescribed was seen, is checked with each answer.
  expect([...described.all].filter((one) => !described.seen.has(one))).toEqual([])
  expect(described.all.size).toBeGreaterThan(60)
})

/** What routes of a kind have in common, so that the tests above need not repeat it for each. */
async function sendWhatAnyRouteRefuses(
  method: string,
  path: string,
  responses: Readonly<Record<string, unknown>>,
): Promise<void> {
  const url = path.replace(/\{\w+\}/, 'a')
  expectProblem(await send(method, url, { headers: { Origin: 'null' } }), 'origin-not-allowed')
  expectProblem(await send(method, url, { headers: { Host: 'evil.example' } }), 'forbidden')
  if (responses[401] !== undefined) expectProblem(await api.send(method, url), 'unauthorized')
  const headers = { 'Content-Type': 'application/json' }
  if (path.includes('{')) {
    expectProblem(await send(method, path.replace(/\{\w+\}/, '%zz'), { headers }), 'bad-request')
    const space = await send(method, path.replace(/\{\w+\}/, '%20'), { headers })
    expect(space.status).toBeOneOf([400, 404])
  }
  if (responses[415] === undefined) return
  expectProblem(
    await send(method, url, { body: '{}', headers: { 'Content-Type': 'text/plain' } }),
    'unsupported-media-type',
  )
  expectProblem(await send(method, url, { body: 'x', headers }), 'invalid-json')
  expectProblem(await send(method, url, { body: '['.repeat(65), headers }), 'json-too-deep')
  expectProblem(await send(method, url, { body: 'x'.repeat(1001), headers }), 'message-too-large')
  expect((await send(method, url, { body: { type: '' } })).status).toBeOneOf([400, 422])
}
