/** Keys from a URL: when they are fetched, how often at most, and what no token can make of that. */
import { createServer } from 'node:http'
import fc from 'fast-check'
import { tokens } from 'groupcast/auth'
import { describe, expect, onTestFinished, test } from 'vitest'
import { RemoteKeys } from '../../src/auth/jwks.ts'
import { errorCodeOf } from '../../src/errors.ts'
import { listen, stop } from '../support/hub-server.ts'
import { ask } from './asking.ts'
import { claims, EC, ED, forge, hs256, RSA, SIGNERS } from './forge.ts'

const rsa = { ...RSA.publicKey.export({ format: 'jwk' }), kid: 'rsa', alg: 'RS256' }
const ec = { ...EC.publicKey.export({ format: 'jwk' }), kid: 'ec', alg: 'ES256' }
const ed = { ...ED.publicKey.export({ format: 'jwk' }), kid: 'ed' }
const oct = {
  kty: 'oct',
  kid: 'oct',
  k: Buffer.from('public-to-everybody-who-asks-for').toString('base64url'),
}

const good = expect.objectContaining({ id: 'ann' })
const NO_KEY = 'invalid-token: No key is known that it could be signed with (kid, alg).'
const UNAVAILABLE = 'authentication-unavailable: The server cannot find out who you are at the moment.'
const rs = (kid?: string) => forge({ alg: 'RS256', kid }, claims(), SIGNERS.RS256)

/** An issuer, and time, turned by hand. */
function issuer() {
  const state = {
    now: 1e9,
    fetches: 0,
    answer: (): Response | Promise<Response> => Response.json({ keys: [rsa, ec, ed, oct] }),
  }
  const keys = new RemoteKeys('https://issuer.example/jwks', {
    now: () => state.now,
    async fetch(_url, init) {
      expect(init.redirect).toBe('error')
      state.fetches++
      return state.answer()
    },
  })
  const find = async (kid: string | undefined, alg = 'RS256') => {
    try {
      await keys.find({ alg, ...(kid !== undefined && { kid }) }, { payload: '', signature: '' })
      return 'found'
    } catch (error) {
      return errorCodeOf(error) ?? 'none'
    }
  }
  return Object.assign(state, { find })
}

describe('the keys of a URL', () => {
  test('are fetched once for all who ask at the same time, and again after ten minutes', async () => {
    const state = issuer()
    expect(await Promise.all(Array.from({ length: 50 }, () => state.find('rsa')))).toEqual(
      Array(50).fill('found'),
    )
    expect(state.fetches).toBe(1)
    state.now += 599_000
    await state.find('ec', 'ES256')
    expect(state.fetches).toBe(1)
    state.now += 2_000
    await state.find('rsa')
    expect(state.fetches).toBe(2)
  })

  test('are fetched anew for an unknown kid, at most every 30 seconds, however many are made up', async () => {
    const state = issuer()
    await state.find('rsa')
    state.answer = () => Response.json({ keys: [{ ...rsa, kid: 'rotated' }] })
    state.now += 30_000
    expect(await state.find('rotated')).toBe('found')
    expect(state.fetches).toBe(2)
    await fc.assert(
      fc.asyncProperty(fc.string(), async (kid) => {
        fc.pre(kid !== 'rotated')
        expect(await state.find(kid)).toBe('none')
      }),
    )
    expect(state.fetches).toBe(2)
    state.now += 30_000
    await Promise.all(Array.from({ length: 50 }, (_, n) => state.find(`x${n}`)))
    expect(state.fetches).toBe(3)
  })

  test('of before are used while newer ones are fetched; who names another key waits for these', async () => {
    // An issuer that hung held up everybody: once the keys were ten minutes old, each client waited for the fetch to be given up, five
    // seconds, although the key that its token named was there.
    const state = issuer()
    await state.find('rsa')
    let answer = (_response: Response) => {}
    state.answer = () =>
      new Promise((resolve) => {
        answer = resolve
      })
    state.now += 601_000
    expect(await state.find('rsa')).toBe('found')
    expect(await state.find('rsa')).toBe('found')
    const rotated = state.find('rotated')
    expect(state.fetches).toBe(2)
    answer(Response.json({ keys: [{ ...rsa, kid: 'rotated' }] }))
    expect(await rotated).toBe('found')
    expect(await state.find('rsa')).toBe('none')
    expect(state.fetches).toBe(2)
  })

  test('of before are not used for longer than an hour, however long the issuer hangs', async () => {
    const state = issuer()
    await state.find('rsa')
    let answer = (_response: Response) => {}
    state.answer = () =>
      new Promise((resolve) => {
        answer = resolve
      })
    state.now += 3_600_000
    const found = state.find('rsa')
    expect(await Promise.race([found, new Promise((resolve) => setImmediate(resolve, 'waits'))])).toBe(
      'waits',
    )
    answer(new Response('no', { status: 500 }))
    expect(await found).toBe('authentication-unavailable')
  })

  test.each<[string, () => Response | Promise<Response>]>([
    ['fails', () => Promise.reject(new TypeError('fetch failed'))],
    ['answers 500', () => new Response('no', { status: 500 })],
    ['answers 204', () => new Response(null, { status: 204 })],
    ['is no JSON', () => new Response('<html>')],
    ['is no set', () => Response.json([rsa])],
    ['is null', () => Response.json(null)],
    ['is too large', () => new Response(JSON.stringify({ keys: [rsa], more: 'x'.repeat(300_000) }))],
    ['has too many keys', () => Response.json({ keys: Array.from({ length: 101 }, () => rsa) })],
  ])(
    'a fetch that %s: the keys of before are used for an hour, then none; it is tried again with pauses',
    async (_what, answer) => {
      const state = issuer()
      await state.find('rsa')
      state.answer = answer
      state.now += 601_000
      expect(await state.find('rsa')).toBe('found')
      expect(state.fetches).toBe(2)
      await state.find('rsa')
      expect(state.fetches).toBe(2)
      state.now += 3_000_000
      expect(await state.find('rsa')).toBe('authentication-unavailable')
      const fresh = issuer()
      fresh.answer = answer
      for (let n = 0; n < 20; n++) expect(await fresh.find('rsa')).toBe('authentication-unavailable')
      expect(fresh.fetches).toBe(1)
      fresh.now += 2_000
      await fresh.find('rsa')
      expect(fresh.fetches).toBe(2)
    },
  )
})

describe('tokens() with a URL', () => {
  async function startIssuer(
    answer: (path: string) => [status: number, body: unknown, headers?: Record<string, string>],
  ) {
    const paths: string[] = []
    const server = createServer((request, response) => {
      paths.push(request.url ?? '')
      const [status, body, headers = {}] = answer(request.url ?? '')
      response.writeHead(status, headers).end(JSON.stringify(body))
    })
    const url = await listen(server)
    onTestFinished(() => stop(server))
    return { url, paths }
  }

  test.each<[string, () => string, unknown]>([
    ['RS256', () => rs('rsa'), good],
    ['ES256', () => forge({ alg: 'ES256', kid: 'ec' }, claims(), SIGNERS.ES256), good],
    ['EdDSA', () => forge({ alg: 'EdDSA', kid: 'ed' }, claims(), SIGNERS.EdDSA), good],
    ['one key for the algorithm, and no kid', () => rs(), good],
    ['an unknown kid', () => rs('other'), NO_KEY],
    ['the kid of a key of another algorithm', () => rs('ec'), NO_KEY],
    [
      'HS256 with a key that everybody can fetch',
      () => forge({ alg: 'HS256', kid: 'oct' }, claims(), hs256('public-to-everybody-who-asks-for')),
      'invalid-token: The algorithm (alg) is not one of those that are allowed.',
    ],
    [
      'a URL of its own (jku)',
      () => forge({ alg: 'RS256', kid: 'evil', jku: 'https://evil.example' }, claims(), SIGNERS.RS256),
      NO_KEY,
    ],
  ])('%s', async (_what, make, expected) => {
    const { url, paths } = await startIssuer(() => [200, { keys: [rsa, ec, ed, oct] }])
    expect(await ask(tokens({ jwksUrl: `${url}/jwks` }), { token: make() })).toEqual(expected)
    expect(new Set(paths).size).toBeLessThanOrEqual(1)
  })

  test('two keys for one algorithm need a kid', async () => {
    const { url } = await startIssuer(() => [200, { keys: [rsa, { ...rsa, kid: 'second' }] }])
    expect(await ask(tokens({ jwksUrl: url }), { token: rs() })).toBe(NO_KEY)
  })

  test('does not follow a redirect, which could lead anywhere', async () => {
    const { url, paths } = await startIssuer((path) =>
      path === '/jwks' ? [302, {}, { Location: '/elsewhere' }] : [200, { keys: [rsa] }],
    )
    expect(await ask(tokens({ jwksUrl: `${url}/jwks` }), { token: rs('rsa') })).toBe(UNAVAILABLE)
    expect(paths).toEqual(['/jwks'])
  })
})
