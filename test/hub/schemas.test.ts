/** Schemas decide at run time what the compiler checks at compile time. */
import { createHub, type Hub } from 'groupcast'
import { describe, expect, expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import { startTestHub } from '../support/hub-server.ts'
import { until, within } from '../support/until.ts'

const messages = {
  'chat.message': z.object({ user: z.string().trim(), text: z.string().max(10) }),
  ping: z.object({}),
}

describe('a hub with schemas', () => {
  test('refuses what does not fit, with the reasons', async () => {
    const hub = createHub({ messages })
    // @ts-expect-error a wrong field is a compile error too
    await expect(hub.groupSend('a', { type: 'chat.message', user: 1, text: 'hi' })).rejects.toMatchObject({
      code: 'invalid-message',
      message: expect.stringMatching(/^A "chat.message" message does not fit: user: /),
    })
    // @ts-expect-error and so is a type that does not exist
    await expect(hub.groupSend('a', { type: 'chat.massage' })).rejects.toThrow(
      'There is no message type "chat.massage". The types are "chat.message", "ping".',
    )
    await hub.close()
  })

  test('sends what the schema returns', async () => {
    const { hub, open } = await startTestHub({ messages } as object)
    const client = await open('sse', '/events?group=a')
    await hub.groupSend('a', { type: 'chat.message', user: ' ann ', text: 'hi', extra: true })
    await until('it has come', () => client.messages.length === 1)
    expect(JSON.parse(client.messages[0] ?? '')).toEqual({ type: 'chat.message', user: 'ann', text: 'hi' })
  })

  test('checks what clients send before the consumer sees it', async () => {
    const { hub, open } = await startTestHub({ messages } as object)
    const seen: unknown[] = []
    hub.consumer('/chat', { receive: (_connection, message) => void seen.push(message) })
    const client = await open('websocket+envelope', '/chat')
    await client.send({ send: { type: 'chat.message', user: 'ann', text: 'far too long a text' }, reply: 1 })
    await until('the reply has come', () => client.controls.length === 2)
    expect(client.controls[1]).toMatchObject({ reply: 1, error: { code: 'invalid-message' } })
    await client.send({ send: { type: 'chat.message', user: 'ann', text: 'hi' } })
    await until('it was received', () => seen.length === 1)
    expect(seen).toEqual([{ type: 'chat.message', user: 'ann', text: 'hi' }])
    const plain = await open('websocket', '/chat')
    await plain.send({ type: 'unknown' })
    expect(await within('the end', plain.ended)).toMatchObject({ code: 4522 })
  })
})

describe('types, from groupSend to the handler', () => {
  interface Messages {
    'chat.message': { user: string; text: string }
    ping: Record<never, never>
  }

  test('are those of the map', async () => {
    const hub = createHub<Messages>()
    hub.consumer('/chat/:room/:user', {
      connect(connection) {
        expectTypeOf(connection.params).toEqualTypeOf<{ readonly room: string; readonly user: string }>()
        // @ts-expect-error no such parameter
        connection.params.rom
      },
      receive(connection, message) {
        if (message.type === 'chat.message') expectTypeOf(message.text).toEqualTypeOf<string>()
        connection.send(message)
      },
      handlers: {
        'chat.message'(_connection, message) {
          expectTypeOf(message.user).toEqualTypeOf<string>()
        },
        // @ts-expect-error no such type
        'chat.massage': () => {},
      },
    })
    // @ts-expect-error a field is missing
    const sent = hub.groupSend('a', { type: 'chat.message', user: 'ann' })
    await sent
    await hub.close()
  })

  test('are inferred from the schemas', async () => {
    const hub = createHub({ messages })
    expectTypeOf(hub).toExtend<{
      groupSend: Hub<{
        'chat.message': { user: string; text: string }
        ping: Record<string, never>
      }>['groupSend']
    }>()
    await hub.close()
  })
})
