/** One API for many tests, so that at their end one can see what they have seen. */
import { afterAll, beforeAll, beforeEach, expect } from 'vitest'
import type { ApiOptions } from '../../src/api/contract.ts'
import { ERRORS, type ErrorCode } from '../../src/errors.ts'
import { type Answer, openTestApi, type SendOptions, type TestApi } from './api-server.ts'
import { FakeHub } from './fake-hub.ts'

const KEY = 'a-key'

export const hi = { type: 'chat.message', text: 'hi' }

export interface SharedApi {
  /** Present once tests run. */
  readonly api: TestApi
  /** As {@link TestApi.send}, with a key. */
  send(method: string, path: string, options?: SendOptions): Promise<Answer>
}

/** Starts an API that needs a key before the tests of a file, and makes its hub new before each. */
export function shareTestApi(options: Partial<ApiOptions>): SharedApi {
  let api: TestApi | null = null
  const opened = (): TestApi => {
    if (api === null) throw new Error('The API is there when tests run, not before.')
    return api
  }
  beforeAll(async () => {
    api = await openTestApi({ apiKeys: [KEY], ...options })
  })
  afterAll(() => opened().server.stop())
  beforeEach(() => {
    const { hub, errors } = opened()
    const { status } = new FakeHub()
    Object.assign(hub, { status, failure: null, capacity: 100, cursor: null, asker: null })
    hub.kept.clear()
    for (const list of [hub.sent, hub.queued, hub.closed, hub.revoked, errors]) (list as unknown[]).length = 0
  })
  return {
    get api() {
      return opened()
    },
    send(method, path, sendOptions = {}) {
      const headers = { Authorization: `Bearer ${KEY}`, ...sendOptions.headers }
      return opened().send(method, path, { ...sendOptions, headers })
    },
  }
}

/** Fails unless the answer is the problem document of this code; returns it. */
export function expectProblem(answer: Answer, code: ErrorCode): { readonly detail?: string } {
  const problem = answer.json() as { readonly detail?: string }
  const { httpStatus: status, message: title } = ERRORS[code]
  expect(problem).toMatchObject({ type: 'about:blank', title, status, code })
  expect(answer.status).toBe(status)
  expect(answer.headers['content-type']).toBe('application/problem+json')
  return problem
}
