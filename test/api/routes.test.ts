/** Every route: its successes, its errors, and that the description knows of each and of no other. */
import { expect, test } from 'vitest'
import { messageTests } from './routes-messages.ts'
import { otherTests } from './routes-others.ts'
import { expectProblem, shareTestApi } from './shared-api.ts'

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
