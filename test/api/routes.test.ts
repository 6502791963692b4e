/** Every route: its successes, its errors, and that the description knows of each and of no other. */
import { expect, test, vi } from 'vitest'
import { Refusal } from '../../src/errors.ts'
import { begin } from './api-server.ts'
import { messageTests } from './routes-messages.ts'
import { otherTests } from './routes-others.ts'
import { expectProblem, shareTestApi } from './shared-api.ts'

const KEY = { Authorization: 'Bearer a-key' }

const shared = shareTestApi({ maxBodyBytes: 1000, allowedHosts: ['127.0.0.1'] })

messageTests(shared)
otherTests(shared)

test('the description holds what these tests have seen, and nothing more', async () => {
  const { described } = shared.api
  for (const [path, operations] of Object.entries(described.document.paths)) {
    for (const [method, { tags, responses }] of Object.entries(operations)) {
      if (!tags.includes('streams')) await sendWhatAnyRouteRefuses(method.toUpperCase(), path, responses)
    }
  }
  await sendTooSlowly()
  // Time stands still: on a slow machine so much of it passes on the way that a key is listened to again.
  const now = vi.spyOn(performance, 'now').mockReturnValue(performance.now())
  try {
    await sendTooManyKeys()
  } finally {
    now.mockRestore()
  }
  // The other half, that nothing undescribed was seen, is checked with each answer.
  expect([...described.all].filter((one) => !described.seen.has(one))).toEqual([])
  expect(described.all.size).toBeGreaterThan(60)
})

/** A body that does not come, to each route that takes one. */
async function sendTooSlowly(): Promise<void> {
  const { hub, port, described } = shared.api
  Object.assign(hub, { limits: { ...hub.limits, bodyTimeoutMs: 20 } })
  for (const [template, { post }] of Object.entries(described.document.paths)) {
    if (post?.responses[408] === undefined) continue
    const path = template.replace(/\{\w+\}/, 'a')
    // Whoever would go on with the connection is told that it closes.
    const connection = {
      Connection: 'keep-alive',
      'Content-Type': 'application/json',
      'Content-Length': '10',
    }
    const headers = { ...KEY, ...connection }
    const answer = await begin(port, path, headers, '{')
    described.expect(answer)
    expectProblem(answer, 'body-timeout')
    expect(answer.headers.connection).toBe('close')
  }
}

/** Wrong keys, to each route that wants one, until nobody from here is listened to; then a right one. */
async function sendTooManyKeys(): Promise<void> {
  const { hub, described } = shared.api
  const wrong = { headers: { Authorization: 'Bearer wrong' } }
  for (let n = 0; n < 60; n++) await shared.api.send('GET', '/api/groups', wrong)
  for (const [template, operations] of Object.entries(described.document.paths)) {
    const path = template.replace(/\{\w+\}/, 'a')
    for (const [method, { responses }] of Object.entries(operations)) {
      if (responses[429] === undefined || template === '/events') continue
      // Of those who ask for tickets the hub keeps count.
      if (path === '/api/tickets')
        hub.failure = new Refusal('rate-exceeded', 'Soon.', { retryAfterMs: 1_500 })
      const answer = await shared.send(method.toUpperCase(), path, wrong)
      hub.failure = null
      expectProblem(answer, 'rate-exceeded')
      const { retryAfterMs } = answer.json() as { retryAfterMs: number }
      expect(answer.headers['retry-after']).toBe(String(Math.ceil(retryAfterMs / 1000)))
    }
  }
  expectProblem(await shared.send('GET', '/api/groups'), 'rate-exceeded')
}

/** What routes of a kind have in common, so that the tests above need not repeat it for each. */
async function sendWhatAnyRouteRefuses(
  method: string,
  path: string,
  responses: Readonly<Record<string, unknown>>,
): Promise<void> {
  const url = path.replace(/\{\w+\}/, 'a')
  expectProblem(await shared.send(method, url, { headers: { Origin: 'null' } }), 'origin-not-allowed')
  expectProblem(await shared.send(method, url, { headers: { Host: 'evil.example' } }), 'forbidden')
  if (responses[401] !== undefined) expectProblem(await shared.api.send(method, url), 'unauthorized')
  const headers = { 'Content-Type': 'application/json' }
  if (path.includes('{')) {
    expectProblem(await shared.send(method, path.replace(/\{\w+\}/, '%zz'), { headers }), 'bad-request')
    // No name has a space in it, and no identity a NUL.
    const bad = path.startsWith('/api/identities') ? '%00' : '%20'
    const answer = await shared.send(method, path.replace(/\{\w+\}/, bad), { headers })
    expect(answer.status).toBeOneOf([400, 404])
  }
  if (responses[415] === undefined) return
  expectProblem(
    await shared.send(method, url, { body: '{}', headers: { 'Content-Type': 'text/plain' } }),
    'unsupported-media-type',
  )
  expectProblem(await shared.send(method, url, { body: 'x', headers }), 'invalid-json')
  expectProblem(await shared.send(method, url, { body: '['.repeat(65), headers }), 'json-too-deep')
  expectProblem(await shared.send(method, url, { body: 'x'.repeat(1001), headers }), 'message-too-large')
  expect((await shared.send(method, url, { body: { type: '' } })).status).toBeOneOf([400, 422])
}
