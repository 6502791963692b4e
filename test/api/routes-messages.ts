/** What sends messages: to a group, to several, to a channel. */
import { describe, expect, test } from 'vitest'
import { ERRORS, type ErrorCode } from '../../src/errors.ts'
import { expectProblem, hi, type SharedApi } from './shared-api.ts'

/** Registers the tests; `shared` starts an API before them. */
export function messageTests(shared: SharedApi): void {
  const { send } = shared
  describe('POST /api/groups/{group}/messages', () => {
    const path = '/api/groups/a/messages'

    test('hands the message to the hub and answers with the cursor', async () => {
      const first = await send('POST', path, { body: hi })
      expect([first.status, first.json()]).toEqual([200, { cursor: null }])
      shared.api.hub.cursor = 'epoch.7'
      const second = await send('POST', path, { body: hi })
      expect(second.json()).toEqual({ cursor: 'epoch.7' })
      expect(second.headers['content-length']).toBe(String(second.text.length))
      expect(shared.api.hub.sent).toMatchObject([
        { name: 'a', message: hi },
        { name: 'a', message: hi },
      ])
    })

    test.each(['application/json; charset=utf-8', 'Application/JSON', 'application/vnd.example+json'])(
      'takes %s',
      async (type) => {
        const answer = await send('POST', path, {
          body: JSON.stringify(hi),
          headers: { 'Content-Type': type },
        })
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
      expect(shared.api.hub.sent).toEqual([])
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
      expect(shared.api.hub.sent).toEqual([])
    })

    test('takes exactly as many bytes as the limit', async () => {
      const body = JSON.stringify({ type: 'x', text: '' }).padEnd(1000)
      expect((await send('POST', path, { body, headers: json })).status).toBe(200)
    })
  })

  describe('POST /api/publish', () => {
    const path = '/api/publish'

    test('sends to each group, and each fails alone', async () => {
      shared.api.hub.cursor = 'e.1'
      const answer = await send('POST', path, {
        body: { groups: ['a', 'not a name', 'b', 'a'], message: hi },
      })
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
      expect(shared.api.hub.sent.map(({ name }) => name)).toEqual(['a', 'b', 'a'])
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
      shared.api.hub.failure = new Error('redis://user:secret@db is down')
      const answer = await send('POST', path, { body: { groups: ['a'], message: hi } })
      expect(answer.json()).toEqual({
        results: [
          { group: 'a', error: { code: 'internal-error', message: ERRORS['internal-error'].message } },
        ],
      })
      expect(shared.api.errors).toEqual([{ error: shared.api.hub.failure, context: { where: 'publish' } }])
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
      expect(shared.api.hub.sent).toEqual([])
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
      expect(shared.api.hub.queued).toMatchObject([{ name: 'thumbnails', message: hi }])
      expect((await send('POST', '/api/channels/node!c1/messages', { body: hi })).status).toBe(202)
    })

    test('a full channel asks to come back', async () => {
      shared.api.hub.capacity = 0
      const answer = await send('POST', path, { body: hi })
      expectProblem(answer, 'channel-full')
      expect(answer.headers['retry-after']).toBe('1')
    })

    test('a bad name', async () => {
      expectProblem(await send('POST', '/api/channels/%20/messages', { body: hi }), 'invalid-name')
      expectProblem(await send('POST', '/api/channels/!x/messages', { body: hi }), 'invalid-name')
    })
  })
}
