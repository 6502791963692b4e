/** Groups, connections, and the server itself. */
import { describe, expect, test } from 'vitest'
import { GroupcastError, Refusal } from '../../src/errors.ts'
import { exchange, type SendOptions } from './api-server.ts'
import { expectProblem, hi, type SharedApi } from './shared-api.ts'

/** Registers the tests; `shared` starts an API before them. */
export function otherTests(shared: SharedApi): void {
  const { send } = shared
  describe('names in a path', () => {
    test.each(['a/b:c@d#e$f~g-h_i', '__proto__', 'constructor', 'toString', '%', 'a b'])(
      '%j',
      async (name) => {
        const answer = await send('GET', `/api/groups/${encodeURIComponent(name)}`)
        if (/[% ]/.test(name)) expectProblem(answer, 'invalid-name')
        else expect(answer.json()).toEqual({ name, connections: { websocket: 0, sse: 0, ndjson: 0 } })
      },
    )

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

  describe('groups', () => {
    const a = { name: 'a', connections: { websocket: 1, sse: 2, ndjson: 0 } }

    test('are listed with their connections', async () => {
      expect((await send('GET', '/api/groups')).json()).toEqual({ groups: [a] })
      expect((await send('GET', '/api/groups/a')).json()).toEqual(a)
    })
  })

  describe('GET /api/groups/{group}/messages', () => {
    const path = '/api/groups/a/messages'
    const kept = Array.from({ length: 1_100 }, (_, n) => ({
      cursor: `e.${n + 1}`,
      message: { type: 'n', n },
    }))

    test('the newest, 100 unless told otherwise', async () => {
      shared.api.hub.kept.set('a', kept)
      const answer = await send('GET', path)
      expect(answer.json()).toEqual({ messages: kept.slice(-100), cursor: 'e.1100', hasMore: true })
      expect(answer.headers['cache-control']).toBe('no-store')
      expect((await send('GET', `${path}?limit=2`)).json()).toMatchObject({ messages: kept.slice(-2) })
      expect((await send('GET', `${path}?after=&limit=1`)).json()).toMatchObject({ messages: kept.slice(-1) })
      expect((await send('GET', `${path}?limit=1000`)).json()).toMatchObject({ messages: kept.slice(-1000) })
    })

    test('what follows a cursor, page by page', async () => {
      shared.api.hub.kept.set('a', kept)
      const first = await send('GET', `${path}?after=e.1000&limit=60`)
      expect(first.json()).toEqual({ messages: kept.slice(1000, 1060), cursor: 'e.1060', hasMore: true })
      const second = await send('GET', `${path}?after=e.1060&limit=60`)
      expect(second.json()).toEqual({ messages: kept.slice(1060), cursor: 'e.1100', hasMore: false })
      const third = await send('GET', `${path}?after=e.1100`)
      expect(third.json()).toEqual({ messages: [], cursor: 'e.1100', hasMore: false })
    })

    test('a group that has none, and one that keeps none', async () => {
      shared.api.hub.kept.set('a', [])
      expect((await send('GET', path)).json()).toEqual({ messages: [], cursor: 'e.0', hasMore: false })
      expectProblem(await send('GET', '/api/groups/b/messages'), 'history-not-available')
    })

    test.each(['e.7x', '__proto__', 'x'.repeat(2000), '%00', '%F0%9F%98%80', '%'])(
      'after %s, which is no cursor or too old, tells from where to go on',
      async (after) => {
        shared.api.hub.kept.set('a', kept)
        const answer = await send('GET', `${path}?after=${after}`)
        expect(expectProblem(answer, 'history-lost')).toMatchObject({ cursor: 'e.1100' })
        expect(answer.headers['cache-control']).toBe('no-store')
      },
    )

    test.each(['0', '1001', '-1', '1.5', '1e2', '', ' 1', '+1', '01', '99999999999999999999', 'x'])(
      'refuses limit=%j',
      async (limit) => {
        shared.api.hub.kept.set('a', kept)
        const answer = await send('GET', `${path}?limit=${encodeURIComponent(limit)}`)
        expect(expectProblem(answer, 'bad-request').detail).toBe(
          'limit: must be a whole number from 1 to 1000',
        )
      },
    )
  })

  describe('DELETE /api/connections/{id}', () => {
    test('closes a connection of this node', async () => {
      const answer = await send('DELETE', '/api/connections/here')
      expect([answer.status, answer.json()]).toEqual([200, { result: 'closed' }])
      await send('DELETE', '/api/connections/here?code=4000&reason=go%20away&code=4001')
      expect(shared.api.hub.closed).toEqual([{ id: 'here' }, { id: 'here', code: 4001, reason: 'go away' }])
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
      expect(shared.api.hub.closed).toEqual([])
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

  describe('POST /api/tickets', () => {
    test('gives a ticket to whoever has an identity, without a key', async () => {
      shared.api.hub.asker = 'ann'
      const answer = await send('POST', '/api/tickets', { headers: { Authorization: '' } })
      expect([answer.status, answer.json()]).toEqual([201, { ticket: 'ticket-of-ann', expiresInSeconds: 30 }])
    })

    test.each([
      'unauthorized',
      'bad-request',
      'not-supported',
      'invalid-token',
      'revoked',
      'authentication-timeout',
      'authentication-unavailable',
      'hub-closed',
      'layer-unavailable',
      'layer-timeout',
    ] as const)('%s', async (code) => {
      shared.api.hub.failure = new Refusal(code)
      const answer = await send('POST', '/api/tickets')
      expectProblem(answer, code)
      if (code === 'unauthorized') expect(answer.headers['www-authenticate']).toBe('Bearer')
      else if (answer.status === 401) {
        expect(answer.headers['www-authenticate']).toMatch(
          /^Bearer error="invalid_token", error_description="[^"]+"$/,
        )
      }
    })
  })

  describe('DELETE /api/identities/{id}/connections', () => {
    test.each(['ann', 'a/b', '__proto__', 'user@example.com', 'é', '.'])('revokes %j', async (id) => {
      const answer = await send('DELETE', `/api/identities/${encodeURIComponent(id)}/connections`)
      expect([answer.status, answer.json()]).toEqual([200, { result: 'revoked' }])
      expect(shared.api.hub.revoked).toEqual([id])
    })

    test.each(['%00', '%0a', 'x'.repeat(256)])('%.10s is no identity', async (id) => {
      expectProblem(await send('DELETE', `/api/identities/${id}/connections`), 'bad-request')
      expect(shared.api.hub.revoked).toEqual([])
    })

    test.each(['hub-closed', 'layer-unavailable', 'layer-timeout'] as const)('%s', async (code) => {
      shared.api.hub.failure = new GroupcastError(code)
      expectProblem(await send('DELETE', '/api/identities/ann/connections'), code)
    })
  })

  describe('the server itself', () => {
    const noKey = { headers: { Authorization: '' } }

    test('is healthy', async () => {
      expect((await send('GET', '/health', noKey)).json()).toEqual({ status: 'ok' })
    })

    test('is ready, or says why not', async () => {
      expect((await send('GET', '/ready', noKey)).json()).toEqual({ status: 'ready' })
      shared.api.hub.status = {
        ready: false,
        draining: false,
        layer: { state: 'connecting', reason: 'No broker yet' },
      }
      const answer = await send('GET', '/ready', noKey)
      expect([answer.status, answer.json()]).toEqual([503, { status: 'not-ready', reason: 'No broker yet' }])
      shared.api.hub.status = { ready: false, draining: false, layer: { state: 'connecting' } }
      expect((await send('GET', '/ready')).json()).toMatchObject({
        reason: expect.stringContaining('connecting'),
      })
      shared.api.hub.status = { ready: false, draining: true, layer: { state: 'ready' } }
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
          'groupcast_backlog_bytes 7',
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
          'groupcast_connections_resumed_total 8',
          'groupcast_resets_total 9',
          'groupcast_recalled_publications_total 11',
          'groupcast_failed_authentications_total 12',
          'groupcast_tokens_refreshed_total 13',
          'groupcast_tokens_expired_total 14',
          'groupcast_revocations_total 15',
          'groupcast_revoked_connections_total 16',
          'groupcast_tickets_issued_total 17',
          'groupcast_tickets_used_total 18',
          'groupcast_rate_refusals_total{rate="messagesPerConnection"} 0',
          'groupcast_rate_refusals_total{rate="bytesPerConnection"} 1',
          'groupcast_rate_refusals_total{rate="connectionsPerAddress"} 10',
          '# TYPE groupcast_authentication_duration_seconds histogram',
          'groupcast_authentication_duration_seconds_bucket{le="0.1"} 2',
          'groupcast_authentication_duration_seconds_bucket{le="1"} 3',
          'groupcast_authentication_duration_seconds_bucket{le="+Inf"} 4',
          'groupcast_authentication_duration_seconds_sum 5.5',
          'groupcast_authentication_duration_seconds_count 4',
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
      for (const path of [
        '/',
        '/apis',
        '/health/',
        '/healthy',
        '/constructor',
        '/__proto__',
        '//api/groups',
      ]) {
        const answer = await exchange(shared.api.port, 'POST', path, { body: hi })
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
      ['GET', '/api/groups/a/messages', {}],
      ['GET', '/api/groups', {}],
      ['GET', '/api/groups/a', {}],
      ['DELETE', '/api/connections/here', {}],
      ['DELETE', '/api/identities/ann/connections', {}],
      ['POST', '/api/tickets', {}],
      ['GET', '/metrics', {}],
    ]

    test.each(calls)('%s %s tells nothing of them, and reports each once', async (method, path, options) => {
      const secret = Object.assign(new Error('secret'), { code: 'ECONNREFUSED' })
      for (const failure of [secret, new GroupcastError('internal-error', 'secret')]) {
        shared.api.errors.length = 0
        shared.api.hub.failure = failure
        const answer = await send(method, path, options)
        expectProblem(answer, 'internal-error')
        expect(answer.text).not.toContain('secret')
        expect(shared.api.errors).toMatchObject([{ error: failure }])
      }
    })

    test('a hub that stops asks to come back', async () => {
      for (const code of ['hub-closed', 'restarting'] as const) {
        shared.api.hub.failure = new GroupcastError(code, 'for developers')
        for (const [method, path, options] of calls.slice(0, 3)) {
          const answer = await send(method, path, options)
          expectProblem(answer, code)
          expect(answer.headers['retry-after']).toBe('1')
          expect(answer.text).not.toContain('developers')
        }
      }
      expect(shared.api.errors).toEqual([])
    })

    test('a broker that is gone is said to be, with whether it may have been sent', async () => {
      const withLayer = [...calls.slice(0, 3), ['DELETE', '/api/connections/here', {}]] as const
      for (const code of ['layer-unavailable', 'layer-timeout'] as const) {
        shared.api.hub.failure = new GroupcastError(code, 'for developers')
        for (const [method, path, options] of withLayer) {
          const answer = await send(method, path, options)
          expectProblem(answer, code)
          expect(answer.headers['retry-after']).toBe(code === 'layer-unavailable' ? '1' : undefined)
          expect(answer.text).not.toContain('developers')
        }
      }
      // The layer has reported it.
      expect(shared.api.errors).toEqual([])
    })
  })
}
