/** `groupcast token`, and what its tokens open on a server that runs from the same configuration. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { until } from '../support/until.ts'
import { endRuns, groupcast as run, start } from './groupcast.ts'

const SECRET = 'vR8mQ2xLp0aZk7WcT4bY9nHe3sJd6fGu'
const env = { GROUPCAST_AUTH_SECRET: SECRET }

afterEach(endRuns)

const claimsOf = (token: string) => JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())

test('prints one token, whose claims are what was asked for', async () => {
  const flags = ['--join', 'chat.*', '--join', 'news', '--send', 'chat.lobby', '--expires', '60']
  const { code, stdout, stderr } = await run(['token', 'ann', ...flags], { env })
  expect([code, stderr]).toEqual([0, ''])
  expect(stdout).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+\n$/)
  const claims = claimsOf(stdout)
  expect(claims).toMatchObject({ sub: 'ann', groupcast: { join: ['chat.*', 'news'], send: ['chat.lobby'] } })
  expect(claims.exp - claims.iat).toBe(60)
  const plain = await run(['token', 'ann'], { env })
  expect(claimsOf(plain.stdout)).not.toHaveProperty('groupcast')
})

test.each<[string, readonly string[], Readonly<Record<string, string>>, string]>([
  ['no secret', ['ann'], {}, 'there is no secret to sign with'],
  ['a weak secret', ['ann'], { GROUPCAST_AUTH_SECRET: 'x'.repeat(40) }, 'easy to guess'],
  ['no subject', [], env, "missing required argument 'subject'"],
  ['an empty subject', [''], env, 'The subject is ""'],
  ['no time', ['ann', '--expires', '1h'], env, 'Give a whole number of seconds.'],
  ['a time that the server refuses', ['ann', '--expires', '90000'], env, 'takes 86400 at most'],
  ['a bad pattern', ['ann', '--join', 'a b'], env, '"a b" is not a pattern'],
])('%s is wrong usage', async (_what, args, variables, text) => {
  const { code, stdout, stderr } = await run(['token', ...args], { env: variables })
  expect([code, stdout]).toEqual([2, ''])
  expect(stderr).toContain(text)
  expect(stderr).not.toContain('xxxx')
})

describe('a server with tokens, and no code', () => {
  let cwd: string
  beforeEach(() => {
    cwd = mkdtempSync(join(tmpdir(), 'groupcast-token-'))
    const key = { key: 'publisher-of-the-chat', scopes: ['publish'], groups: ['chat.*'] }
    const admin = { key: 'administrator-of-all', scopes: ['admin'] }
    const config = {
      port: 0,
      apiKeys: [key, admin],
      auth: { keys: [{ kid: '1', algorithm: 'HS256', secret: SECRET }], audience: ['chat'] },
      groups: [
        { match: 'open', join: 'anyone' },
        { match: 'chat.*', join: 'token', send: 'token' },
        { match: '*', join: 'nobody' },
      ],
    }
    writeFileSync(join(cwd, 'groupcast.config.json'), JSON.stringify(config))
  })
  afterEach(() => rmSync(cwd, { recursive: true, force: true }))

  test('lets in who has a token for the group, until it is revoked', { timeout: 60_000 }, async () => {
    const server = start(['serve'], { cwd })
    let url = ''
    server.process.stdout.on('data', (text: string) => {
      url = /listening on (http:\S+)/.exec(text)?.[1] ?? url
    })
    await until('it says where', () => url !== '')
    const token = (await run(['token', 'ann', '--join', 'chat.*'], { cwd })).stdout.trim()
    const refused = await run(['subscribe', 'chat.lobby', '--url', url], { cwd })
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('4503 forbidden')])
    for (const transport of ['websocket', 'sse', 'ndjson']) {
      const reader = start(
        ['subscribe', 'chat.lobby', '--url', url, '--count', '1', '--transport', transport],
        {
          cwd,
          env: { GROUPCAST_TOKEN: token },
        },
      )
      await reader.until('stderr', /connected/)
      const publish = ['publish', 'chat.lobby', '{"type":"x"}', '--url', url]
      const published = await run(publish, { cwd, env: { GROUPCAST_API_KEY: 'publisher-of-the-chat' } })
      expect(published.code).toBe(0)
      expect(await reader.outcome).toMatchObject({ code: 0, stdout: '{"type":"x"}\n' })
    }
    const other = await run(
      ['publish', 'open', '{"type":"x"}', '--url', url, '--api-key', 'publisher-of-the-chat'],
      { cwd },
    )
    expect([other.code, other.stderr]).toEqual([1, expect.stringContaining('403 forbidden')])
    const reader = start(['subscribe', 'chat.lobby', '--url', url, '--token', token], { cwd })
    await reader.until('stderr', /connected/)
    const answer = await fetch(`${url}/api/identities/ann/connections`, {
      method: 'DELETE',
      headers: { Authorization: 'Bearer administrator-of-all' },
    })
    expect(answer.status).toBe(200)
    expect(await reader.outcome).toMatchObject({ code: 1, stderr: expect.stringContaining('4508 revoked') })
    const ticket = await fetch(`${url}/api/tickets`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${token}` },
    })
    expect([ticket.status, await ticket.json()]).toEqual([401, expect.objectContaining({ code: 'revoked' })])
  })
})
