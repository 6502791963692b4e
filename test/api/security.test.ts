import { describe, expect, test } from 'vitest'
import { createApi } from '../../src/api/api.ts'
import type { ApiOptions } from '../../src/api/contract.ts'
import { MisuseError } from '../../src/errors.ts'
import { hostileStrings } from '../hostile-strings.ts'
import { startTestApi } from './api-server.ts'
import { FakeHub } from './fake-hub.ts'

const hi = { type: 'chat.message', text: 'hi' }
const LONG = 'k'.repeat(500)

describe('API keys', () => {
  const options = { apiKeys: ['first-key', LONG, '__proto__'] }

  test.each(['first-key', LONG, '__proto__'])('%.20s is one', async (key) => {
    const { send } = await startTestApi(options)
    for (const scheme of ['Bearer', 'bearer', 'BEARER ']) {
      const answer = await send('GET', '/api/groups', { headers: { Authorization: `${scheme} ${key}` } })
      expect(answer.status).toBe(200)
    }
  })

  test('nothing else is', async () => {
    const { send, hub } = await startTestApi(options)
    const wrong = [
      '',
      'Bearer',
      'Bearer ',
      'Bearer first-ke',
      'Bearer first-keyy',
      'Bearer FIRST-KEY',
      'first-key',
    ]
    wrong.push(
      'Basic first-key',
      'Bearer first-key x',
      'Bearer constructor',
      `Bearer ${LONG}k`,
      'Bearer\tfirst-key',
    )
    for (const Authorization of wrong) {
      const answer = await send('POST', '/api/groups/a/messages', { headers: { Authorization }, body: hi })
      expect([Authorization, answer.status]).toEqual([Authorization, 401])
      // A key that is none of ours is told apart from none at all (RFC 6750, section 3.1).
      const isKey = /^Bearer \S+$/.test(Authorization)
      expect([Authorization, answer.headers['www-authenticate']]).toEqual([
        Authorization,
        isKey ? 'Bearer error="invalid_token"' : 'Bearer',
      ])
    }
    expect(hub.sent).toEqual([])
  })

  test('open are health, readiness and the description only', async () => {
    const { send, described } = await startTestApi(options)
    const open: string[] = []
    for (const [path, operations] of Object.entries(described.document.paths)) {
      for (const [method, { tags }] of Object.entries(operations)) {
        if (tags.includes('streams')) continue
        const answer = await send(method.toUpperCase(), path.replace(/\{\w+\}/, 'a'))
        if (answer.status !== 401) open.push(path)
      }
    }
    expect(open.sort()).toEqual(['/api/openapi.json', '/health', '/ready'])
    expect((await send('HEAD', '/api/groups')).status).toBe(401)
  })

  describe('with scopes', () => {
    const scoped = {
      apiKeys: [
        'all-of-it',
        { key: 'publisher', scopes: ['publish'] },
        { key: 'chat-publisher', scopes: ['publish'], groups: ['chat.*'] },
        { key: 'chat-reader', scopes: ['read'], groups: ['chat.*'] },
        { key: 'reader', scopes: ['read'] },
        { key: 'admin', scopes: ['admin'] },
        { key: 'chat-admin', scopes: ['admin'], groups: ['chat.*'] },
      ],
    } satisfies Partial<ApiOptions>
    const keys = scoped.apiKeys.map((key) => (typeof key === 'string' ? key : key.key))

    test.each<[string, string, object | undefined, readonly string[]]>([
      ['POST', '/api/groups/chat.a/messages', hi, ['publisher', 'chat-publisher']],
      ['POST', '/api/groups/other/messages', hi, ['publisher']],
      ['POST', '/api/channels/chat.a/messages', hi, ['publisher', 'chat-publisher']],
      ['POST', '/api/channels/other/messages', hi, ['publisher']],
      ['POST', '/api/publish', { groups: ['other'], message: hi }, ['publisher', 'chat-publisher']],
      ['GET', '/api/groups', undefined, ['reader', 'chat-reader']],
      ['GET', '/api/groups/chat.a', undefined, ['reader', 'chat-reader']],
      ['GET', '/api/groups/a', undefined, ['reader']],
      ['GET', '/api/groups/chat.a/messages', undefined, ['reader', 'chat-reader']],
      ['GET', '/metrics', undefined, ['reader']],
      ['DELETE', '/api/connections/here', undefined, ['admin']],
      ['DELETE', '/api/identities/ann/connections', undefined, ['admin']],
    ])('%s %s is for the right keys alone', async (method, path, body, allowed) => {
      const { send } = await startTestApi(scoped)
      for (const key of keys) {
        const headers = { Authorization: `Bearer ${key}` }
        const { status } = await send(method, path, { headers, ...(body !== undefined && { body }) })
        const isAllowed = key === 'all-of-it' || allowed.includes(key)
        expect([key, status === 403]).toEqual([key, !isAllowed])
      }
    })

    test('a key without the scope is told which it needs (RFC 6750, section 3.1)', async () => {
      const { send } = await startTestApi(scoped)
      const answer = await send('DELETE', '/api/connections/here', {
        headers: { Authorization: 'Bearer publisher' },
      })
      expect(answer.status).toBe(403)
      expect(answer.headers['www-authenticate']).toBe('Bearer error="insufficient_scope", scope="admin"')
    })

    test('a group that a key is not for fails alone, and is not listed', async () => {
      const { send, hub } = await startTestApi(scoped)
      hub.members.set('chat.a', { websocket: 1, sse: 0, ndjson: 0 })
      const listed = await send('GET', '/api/groups', { headers: { Authorization: 'Bearer chat-reader' } })
      expect(listed.json()).toMatchObject({ groups: [{ name: 'chat.a' }] })
      const headers = { Authorization: 'Bearer chat-publisher' }
      const body = { groups: ['chat.a', 'secret', 'chat.b'], message: hi }
      const expected = [{ cursor: null }, { error: { code: 'forbidden' } }, { cursor: null }]
      expect((await send('POST', '/api/publish', { headers, body })).json()).toMatchObject({
        results: expected,
      })
      const lines = `${JSON.stringify(body)}\n`
      const asLines = { headers: { ...headers, 'Content-Type': 'application/x-ndjson' }, body: lines }
      expect((await send('POST', '/api/publish', asLines)).json()).toMatchObject({ results: expected })
      expect(hub.sent.map(({ name }) => name)).toEqual(['chat.a', 'chat.b', 'chat.a', 'chat.b'])
    })
  })

  test('without keys none is asked for, nor described', async () => {
    const { send, described } = await startTestApi()
    expect((await send('GET', '/metrics')).status).toBe(200)
    // Tickets are for clients, who say themselves who they are.
    const { '/api/tickets': _tickets, ...others } = described.document.paths
    expect(JSON.stringify(others)).not.toContain('"401"')
    expect(described.document.components).not.toHaveProperty('securitySchemes')
  })
})

test.each<[string, Partial<ApiOptions>, string]>([
  ['an empty key', { apiKeys: ['ok', ''] }, 'apiKeys[1]'],
  ['a key with a space', { apiKeys: ['top secret'] }, 'apiKeys[0]'],
  ['a key that a header would change', { apiKeys: ['clé'] }, 'apiKeys[0]'],
  ['a key without scopes', { apiKeys: [{ key: 'k', scopes: [] }] }, 'apiKeys[0].scopes'],
  ['an unknown scope', { apiKeys: [{ key: 'k', scopes: ['write'] as never }] }, 'apiKeys[0].scopes'],
  ['a misspelt limit', { apiKeys: [{ key: 'k', scopes: ['read'], group: ['a'] } as never] }, '"group"'],
  ['no groups', { apiKeys: [{ key: 'k', scopes: ['read'], groups: [] }] }, 'apiKeys[0].groups'],
  ['a bad pattern', { apiKeys: [{ key: 'k', scopes: ['read'], groups: ['a b'] }] }, '"a b"'],
  ['one key for two things', { apiKeys: ['k', { key: 'k', scopes: ['read'] }] }, 'apiKeys[1]'],
  ['an origin with a path', { allowedOrigins: ['https://a.example/'] }, 'https://a.example/'],
  ['no bytes', { maxBodyBytes: 0 }, 'maxBodyBytes is 0'],
  ['part of a byte', { maxBodyBytes: 1.5 }, 'maxBodyBytes is 1.5'],
  ['endless groups', { maxGroupsPerPublish: Number.POSITIVE_INFINITY }, 'maxGroupsPerPublish'],
])('%s is not an option', (_what, given, text) => {
  const create = () => createApi(new FakeHub(), { version: '1', onError() {}, ...given })
  expect(create).toThrow(MisuseError)
  expect(create).toThrow(text)
  expect(create).not.toThrow(/secret|clé/)
})

describe('pages', () => {
  test('of this server may write, those of others may not', async () => {
    const { send, port, hub } = await startTestApi()
    const host = `127.0.0.1:${port}`
    const same = await send('POST', '/api/groups/a/messages', {
      body: hi,
      headers: { Origin: `http://${host}` },
    })
    expect(same.status).toBe(200)
    expect(same.headers).not.toHaveProperty('access-control-allow-origin')
    for (const Origin of [
      'null',
      'http://evil.example',
      `http://evil-${host}`,
      `http://127.0.0.1:${port + 1}`,
    ]) {
      const answer = await send('POST', '/api/groups/a/messages', { body: hi, headers: { Origin } })
      expect([Origin, answer.status]).toEqual([Origin, 403])
      expect(answer.json()).toMatchObject({ code: 'origin-not-allowed' })
    }
    expect(hub.sent).toHaveLength(1)
  })

  test('of a listed origin may, after a preflight, and can read errors', async () => {
    const Origin = 'https://app.example'
    const { send } = await startTestApi({ allowedOrigins: [Origin], apiKeys: ['key'] })
    const asked = {
      'Access-Control-Request-Method': 'POST',
      'Access-Control-Request-Headers': 'content-type',
    }
    const preflight = await send('OPTIONS', '/api/groups/a/messages', { headers: { Origin, ...asked } })
    expect(preflight.status).toBe(204)
    expect(preflight.headers).toMatchObject({
      'access-control-allow-origin': Origin,
      'access-control-allow-credentials': 'true',
      'access-control-allow-methods': 'POST, GET, HEAD, OPTIONS',
      'access-control-allow-headers': 'Authorization, Content-Type',
      'access-control-max-age': '600',
      vary: 'Origin',
    })
    const refused = await send('POST', '/api/groups/a/messages', { headers: { Origin }, body: hi })
    expect([refused.status, refused.headers['access-control-allow-origin']]).toEqual([401, Origin])
    const evil = await send('OPTIONS', '/api/groups/a/messages', {
      headers: { Origin: 'https://evil.example', ...asked },
    })
    expect(evil.status).toBe(403)
    expect(evil.headers).not.toHaveProperty('access-control-allow-origin')
    expect((await send('GET', '/health')).headers.vary).toBe('Origin')
  })

  test('of any origin may where the list says so, without credentials', async () => {
    const { send } = await startTestApi({ allowedOrigins: ['*'] })
    const answer = await send('GET', '/api/groups', { headers: { Origin: 'https://any.example' } })
    expect(answer.headers['access-control-allow-origin']).toBe('*')
    expect(answer.headers).not.toHaveProperty('access-control-allow-credentials')
  })
})

test('a name that was pointed at this machine is not this server’s', async () => {
  const { send, port } = await startTestApi({ allowedHosts: ['127.0.0.1', 'localhost', '[::1]'] })
  for (const Host of [`127.0.0.1:${port}`, 'LocalHost', '[::1]:80']) {
    expect((await send('GET', '/api/groups', { headers: { Host } })).status).toBe(200)
  }
  for (const Host of ['evil.example', `evil.example:${port}`, 'localhost.evil.example']) {
    const headers = { Host, Origin: `http://${Host}` }
    for (const path of ['/api/groups', '/health', '/api/unknown']) {
      const answer = await send('GET', path, { headers })
      expect([Host, answer.status]).toEqual([Host, 403])
      expect(answer.json()).toMatchObject({ code: 'forbidden', detail: expect.any(String) })
    }
  }
})

test('hostile texts are texts wherever they stand', async () => {
  const { send, hub, errors } = await startTestApi()
  for (const text of hostileStrings) {
    const message = { type: 'x', text, [text.slice(0, 100)]: 1 }
    const isLarge = Buffer.byteLength(JSON.stringify(message)) > 1024 * 1024
    const sent = await send('POST', '/api/groups/a/messages', { body: message })
    expect(sent.status).toBe(isLarge ? 413 : 200)
    if (!isLarge) expect(hub.sent.at(-1)?.message).toEqual(JSON.parse(JSON.stringify(message)))
    const published = await send('POST', '/api/publish', { body: { groups: [text], message: { type: 'x' } } })
    if (published.status === 200) {
      expect((published.json() as { results: { group: string }[] }).results).toMatchObject([{ group: text }])
    }
    // Node's own limit for a request line and headers is 16 KiB.
    if (text.length > 4000) continue
    const query = new URLSearchParams({ reason: text, code: text, [text]: text })
    expect((await send('DELETE', `/api/connections/here?${query}`)).status).toBe(400)
    const encoded = encodeURIComponent(text.toWellFormed())
    expect((await send('GET', `/api/groups/${encoded}`)).status).toBeOneOf([200, 400, 404])
    expect((await send('DELETE', `/api/connections/${encoded}`)).status).toBeOneOf([400, 404])
    expect((await send('POST', `/api/channels/${encoded}/messages`, { body: hi })).status).toBeOneOf([
      202, 400, 404,
    ])
  }
  expect(errors).toEqual([])
})
