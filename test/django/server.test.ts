/** The standalone server beside Django: no program, a URL. */
import { expect, onTestFinished, test } from 'vitest'
import { loadConfig } from '../../src/server/config/load.ts'
import { startServer } from '../../src/server/server.ts'
import { openClient } from '../support/clients.ts'
import { startRedis } from '../support/redis-server.ts'
import { until } from '../support/until.ts'
import { startDjango } from './django-server.ts'

test.each(['core', 'pubsub'] as const)(
  'a server with the layer django+redis://…?protocol=%s',
  async (protocol) => {
    const redis = await startRedis()
    onTestFinished(() => redis.stop())
    const config = { hosts: [redis.url], prefix: 'shop' }
    const django = await startDjango({ protocol, config })
    onTestFinished(() => django.stop())
    const layer = `django+${redis.url}/0?protocol=${protocol}&prefix=shop`
    const loaded = loadConfig({ flags: { port: 0, layer, playground: false }, env: {}, cwd: '/nowhere' })
    if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems))
    const server = await startServer(loaded.config)
    onTestFinished(() => server.close())
    const post = async (message: unknown) => {
      const answer = await fetch(`${server.url}/api/groups/room-name/messages`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(message),
      })
      return { status: answer.status, body: (await answer.json()) as Record<string, unknown> }
    }
    expect((await fetch(`${server.url}/ready`)).status).toBe(200)
    const events = await openClient('sse', `${server.url}/events?group=room-name`)
    onTestFinished(() => events.close())
    await django.call('/notify/')
    await until('it has come', () => events.messages.length === 1)
    expect(events.messages).toEqual(['{"type":"chat.message","message":"Hello from Django"}'])

    const member = await django.join('room-name')
    expect(await post({ type: 'chat.message', text: 'hi' })).toEqual({ status: 200, body: { cursor: null } })
    await until('it has come', () => member.messages.length === 1)
    expect(member.messages.map((text) => JSON.parse(text))).toEqual([{ type: 'chat.message', text: 'hi' }])

    expect(await post({ type: '_chat' })).toMatchObject({
      status: 422,
      body: {
        code: 'invalid-message',
        detail: 'Django cannot be sent this message: its type "_chat" starts with "_".',
      },
    })
    await redis.kill()
    await expect.poll(async () => (await fetch(`${server.url}/ready`)).status, { timeout: 10_000 }).toBe(503)
    expect(await post({ type: 'chat.message' })).toMatchObject({
      status: 503,
      body: { code: 'layer-unavailable' },
    })
  },
)
