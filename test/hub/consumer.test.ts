/** What an application may count on in its consumers: order, refusals, failures, replies; over every transport. */
import { Refusal } from 'groupcast'
import { describe, expect, test } from 'vitest'
import { CLIENT_KINDS, type ClientKind } from '../support/clients.ts'
import { startTestHub } from '../support/hub-server.ts'
import { until, within } from '../support/until.ts'

/** A promise and the function that resolves it. */
function gate() {
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { open, opened }
}

const canReply = (kind: ClientKind) => kind !== 'websocket'
/** As a client says it on this transport: a plain WebSocket sends the message itself. */
const sending = (kind: ClientKind, message: object, reply?: number) =>
  kind === 'websocket' ? message : { send: message, ...(reply !== undefined && { reply }) }

describe.each(CLIENT_KINDS)('%s', (kind) => {
  test('connect, receive and disconnect get the connection, its parameters and its query', async () => {
    const { hub, open } = await startTestHub()
    const seen: unknown[] = []
    hub.consumer('/chat/:room', {
      async connect(connection) {
        seen.push(['connect', connection.params.room, connection.query.get('q'), connection.transport])
        connection.state.name = 'ann'
        await connection.join(`chat.${connection.params.room}`)
        connection.send({ type: 'welcome' })
      },
      receive(connection, message) {
        seen.push(['receive', message, connection.state.name, connection.groups])
      },
      disconnect(connection, { code }) {
        seen.push(['disconnect', code, connection.groups, connection.signal.aborted])
      },
    })
    const client = await open(kind, '/chat/a%20b?q=1')
    // The group's name comes from the client and is not valid: it is refused, not an application error.
    const refusal = await within('the refusal', client.ended)
    if (kind.startsWith('websocket')) expect(refusal.code).toBe(4520)
    else expect([client.status, JSON.parse(client.body).code]).toEqual([400, 'invalid-name'])

    const other = await open(kind, '/chat/lobby?q=1')
    await until('the welcome has come', () => other.messages.length === 1)
    await other.send(sending(kind, { type: 'hi', n: 1 }))
    await until('it was received', () => seen.some((entry) => (entry as unknown[])[0] === 'receive'))
    other.close()
    await until(
      'both have ended',
      () => seen.filter((entry) => (entry as unknown[])[0] === 'disconnect').length === 2,
    )

    const transport = kind.split('+')[0]
    expect(seen).toEqual([
      ['connect', 'a b', '1', transport],
      ['disconnect', 4520, [], true],
      ['connect', 'lobby', '1', transport],
      ['receive', { type: 'hi', n: 1 }, 'ann', ['chat.lobby']],
      ['disconnect', expect.any(Number), [], true],
    ])
  })

  test('hooks of one connection run one after another, of two connections side by side', async () => {
    const { hub, open } = await startTestHub()
    const log: string[] = []
    const first = gate()
    hub.consumer('/slow', {
      async receive(connection, message) {
        const name = `${connection.query.get('name')} ${String(message.n)}`
        log.push(`start ${name}`)
        if (name === 'a 1') await first.opened
        log.push(`end ${name}`)
      },
      disconnect(connection) {
        log.push(`gone ${connection.query.get('name')}`)
      },
    })
    const a = await open(kind, '/slow?name=a')
    const b = await open(kind, '/slow?name=b')
    await a.send(sending(kind, { type: 'm', n: 1 }))
    await a.send(sending(kind, { type: 'm', n: 2 }))
    await b.send(sending(kind, { type: 'm', n: 1 }))
    await until('b is done', () => log.includes('end b 1'))
    // What a client said before it left is still heard.
    a.close()
    await until('a is gone', () => hub.stats.connections[b.kind.split('+')[0] as 'sse'] === 1)
    first.open()
    await until('a is done', () => log.includes('gone a'))
    expect(log.filter((line) => line.includes(' a'))).toEqual([
      'start a 1',
      'end a 1',
      'start a 2',
      'end a 2',
      'gone a',
    ])
  })

  test('a Refusal in connect refuses the client with its code and reason, and is no error of the application', async () => {
    const { hub, open, errors } = await startTestHub()
    const seen: unknown[] = []
    hub.consumer('/members', {
      connect() {
        throw new Refusal('forbidden', 'Members only')
      },
      disconnect: (_connection, info) => void seen.push(info),
    })
    const client = await open(kind, '/members')
    const ended = await within('the end', client.ended)
    if (kind.startsWith('websocket')) {
      expect(ended).toEqual({ code: 4503, reason: 'Members only' })
    } else {
      expect(client.status).toBe(403)
      expect(JSON.parse(client.body)).toMatchObject({
        code: 'forbidden',
        status: 403,
        detail: 'Members only',
      })
    }
    expect(seen).toEqual([{ code: 4503, reason: 'Members only' }])
    expect(errors).toEqual([])
    expect(hub.stats).toMatchObject({ opened: 0, denied: 1 })
  })

  test('close in connect refuses with the given code', async () => {
    const { hub, open } = await startTestHub()
    hub.consumer('/later', { connect: (connection) => connection.close(4100, 'full house') })
    const client = await open(kind, '/later')
    const ended = await within('the end', client.ended)
    // An EventSource must come back: it gets a stream that says so, not a status that ends it for good.
    if (kind === 'ndjson') expect(client.status).toBe(503)
    else expect(ended).toEqual({ code: 4100, reason: 'full house' })
    if (kind.startsWith('sse')) expect(client.retries).toHaveLength(1)
  })

  test.each(['throws', 'rejects'])(
    'a connect that %s ends its connection only, is reported once, and disconnect runs',
    async (how) => {
      const { hub, open, errors } = await startTestHub()
      const gone: number[] = []
      const failure = new Error('database is on fire')
      hub.consumer('/fails', {
        connect() {
          if (how === 'throws') throw failure
          return Promise.reject(failure)
        },
        disconnect: (_connection, { code }) => void gone.push(code),
      })
      const other = await open(kind, '/events?group=a')
      const client = await open(kind, '/fails')
      const ended = await within('the end', client.ended)
      if (kind !== 'ndjson') expect(ended.code).toBe(1011)
      else expect(client.status).toBe(500)
      expect(client.body + ended.reason).not.toContain('fire')
      expect(errors.map(({ error }) => error)).toEqual([failure])
      expect(gone).toEqual([1011])
      await hub.groupSend('a', { type: 'still here' })
      await until('the other goes on', () => other.messages.length === 1)
    },
  )

  test.each(['throws', 'rejects'])(
    'a receive that %s ends its connection only, is reported once, and disconnect runs',
    async (how) => {
      const { hub, open, errors } = await startTestHub()
      const gone: number[] = []
      const failure = new Error('database is on fire')
      hub.consumer('/fails', {
        receive() {
          if (how === 'throws') throw failure
          return Promise.reject(failure)
        },
        disconnect: (_connection, { code }) => void gone.push(code),
      })
      const client = await open(kind, '/fails')
      const other = await open(kind, '/fails')
      await client.send(sending(kind, { type: 'boom' }))
      expect(await within('the end', client.ended)).toEqual({
        code: 1011,
        reason: 'The server failed to handle this.',
      })
      await until('disconnect ran', () => gone.length === 1)
      expect(errors).toMatchObject([{ error: failure, context: { where: 'consumer /fails' } }])
      expect(gone).toEqual([1011])
      expect(hub.stats.errors).toBe(1)
      other.close()
      await until('the other is gone', () => gone.length === 2)
      expect(gone[1]).not.toBe(1011)
    },
  )

  test('a failing disconnect is reported once and hurts nobody', async () => {
    const { hub, open, errors } = await startTestHub()
    hub.consumer('/fails', {
      disconnect() {
        throw new Error('too late')
      },
    })
    const client = await open(kind, '/fails')
    client.close()
    await until('it was reported', () => errors.length === 1)
    expect(hub.stats.errors).toBe(1)
  })

  test('handlers run for each connection instead of sending, each with its own copy of the message', async () => {
    const { hub, open } = await startTestHub()
    const copies: unknown[] = []
    hub.consumer('/handled', {
      connect: (connection) => connection.join('a'),
      handlers: {
        async 'chat.message'(connection, message) {
          copies.push(message)
          // What one handler does to its copy is nobody else's business.
          ;(message as unknown as { text: string }).text += '!'
          connection.send({ type: 'shown', text: message.text, to: connection.query.get('name') })
        },
      },
    })
    const ann = await open(kind, '/handled?name=ann')
    const bob = await open(kind, '/handled?name=bob')
    const plain = await open(kind, '/events?group=a')
    await hub.groupSend('a', { type: 'chat.message', text: 'hi' })
    await hub.groupSend('a', { type: 'other' })
    for (const [client, name] of [
      [ann, 'ann'],
      [bob, 'bob'],
    ] as const) {
      await until(`${name} has both`, () => client.messages.length === 2)
      expect(client.messages.map((text) => JSON.parse(text))).toEqual(
        expect.arrayContaining([{ type: 'shown', text: 'hi!', to: name }, { type: 'other' }]),
      )
    }
    await until('the plain client has both', () => plain.messages.length === 2)
    expect(plain.messages[0]).toBe('{"type":"chat.message","text":"hi"}')
    expect(copies).toHaveLength(2)
  })

  test('commands join, leave, send and publish, with replies', async () => {
    if (!canReply(kind)) return expectPlainWebSocketTakesMessagesOnly()
    const { hub, open } = await startTestHub()
    hub.consumer('/room', {
      receive: (_connection, message) => ({ echo: message.n }),
      authorize: (_connection, action, group) =>
        group !== 'secret' && !(action === 'send' && group === 'readonly'),
    })
    const client = await open(kind, '/room')
    const replies = () => client.controls.filter((control) => 'reply' in control)
    const say = async (value: unknown, count: number) => {
      await client.send(value)
      await until(`reply ${count} has come`, () => replies().length === count)
      return replies()[count - 1]
    }
    expect(await say({ join: 'a', reply: 1 }, 1)).toEqual({ reply: 1, result: { group: 'a' } })
    expect(await say({ join: 'secret', reply: 2 }, 2)).toEqual({
      reply: 2,
      error: { code: 'forbidden', message: 'This is not allowed.' },
    })
    expect(await say({ send: { type: 'm', n: 7 }, reply: 'x' }, 3)).toEqual({
      reply: 'x',
      result: { echo: 7 },
    })
    expect(await say({ publish: { group: 'a', message: { type: 'hello' } }, reply: 4 }, 4)).toEqual({
      reply: 4,
      result: { cursor: null },
    })
    expect(
      await say({ publish: { group: 'readonly', message: { type: 'hello' } }, reply: 5 }, 5),
    ).toMatchObject({ error: { code: 'forbidden' } })
    await until('the publication came back', () => client.messages.length === 1)
    expect(client.messages).toEqual(['{"type":"hello"}'])
    expect(await say({ leave: 'a', reply: 6 }, 6)).toEqual({ reply: 6, result: { group: 'a' } })
    expect(hub.groups()).toEqual([])
    // Without a reply id a refusal is shown all the same.
    expect(await say({ join: 'secret' }, 7)).toMatchObject({ reply: null, error: { code: 'forbidden' } })
  })

  async function expectPlainWebSocketTakesMessagesOnly() {
    const { hub, open } = await startTestHub()
    hub.consumer('/room', { receive() {} })
    const client = await open(kind, '/room')
    await client.send({ join: 'a', reply: 1 })
    expect(await within('the end', client.ended)).toMatchObject({ code: 4522 })
  }

  test('a consumer without receive or authorize says that it takes nothing', async () => {
    const { open } = await startTestHub()
    const client = await open(kind, '/events?group=a')
    await client.send(sending(kind, { type: 'hi' }, 1))
    if (kind === 'websocket') {
      expect(await within('the end', client.ended)).toMatchObject({ code: 4525 })
    } else {
      await until('the reply has come', () => client.controls.some((control) => 'reply' in control))
      expect(client.controls.at(-1)).toMatchObject({ reply: 1, error: { code: 'not-supported' } })
    }
  })

  test('what is sent while the client is at the door comes after the open event, in order', async () => {
    const { hub, open } = await startTestHub()
    hub.consumer('/door', {
      async connect(connection) {
        await connection.join('a')
        connection.send({ type: 'm', n: 1 })
        await hub.groupSend('a', { type: 'm', n: 2 })
        await new Promise((resolve) => setImmediate(resolve))
        await hub.groupSend('a', { type: 'm', n: 3 })
      },
    })
    const client = await open(kind, '/door')
    await until('all have come', () => client.messages.length === 3)
    expect(client.messages.map((text) => JSON.parse(text).n)).toEqual([1, 2, 3])
    if (kind !== 'websocket')
      expect(client.controls[0]).toMatchObject({ open: { groups: ['a'], heartbeatMs: 25_000 } })
  })
})
