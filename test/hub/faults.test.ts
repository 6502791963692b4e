/** Mistakes of the application and of others on the layer: each stays where it happened. Each test opens with what was seen. */
import { createHub, groupsConsumer, memoryLayer, Refusal } from 'groupcast'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { CLIENT_KINDS } from '../support/clients.ts'
import { startTestHub } from '../support/hub-server.ts'
import { until, within } from '../support/until.ts'

// Symptom: `disconnect` never ran and every later hub.close() waited out its deadline. Cause: a hook that failed after the
// connection had ended cleared the inbox, and with it the waiting `disconnect`.
test.each(CLIENT_KINDS)(
  '%s: a hook that fails because the client has left does not keep disconnect from running',
  async (kind) => {
    const { hub, open, errors } = await startTestHub()
    const gone: number[] = []
    hub.consumer('/fetches', {
      receive(connection) {
        return new Promise((_, reject) =>
          connection.signal.addEventListener('abort', () => reject(new Error('aborted'))),
        )
      },
      disconnect: (_connection, { code }) => void gone.push(code),
    })
    const client = await open(kind, '/fetches')
    await client.send(kind === 'websocket+envelope' ? { send: { type: 'go' } } : { type: 'go' })
    await until('it was received', () => hub.stats.received === 1)
    client.close()
    await until('disconnect ran', () => gone.length === 1)
    expect(errors).toHaveLength(1)
    await within('the hub to close', hub.close({ deadlineMs: 20_000 }), 5_000)
  },
)

test('a connect that closes and then throws is one refusal, and disconnect runs', async () => {
  const { hub, open } = await startTestHub()
  let ended = 0
  hub.consumer('/both', {
    connect(connection) {
      connection.close(4403)
      throw new Refusal()
    },
    disconnect: () => void ended++,
  })
  const client = await open('websocket', '/both')
  expect(await within('the end', client.ended)).toMatchObject({ code: 4403 })
  await until('disconnect ran', () => ended === 1)
})

// Symptom: `throw new Refusal('nope')` ended the process. Cause: the code was looked up in the table unchecked, inside the
// function that handles failures.
describe('a Refusal that is none', () => {
  test.each([
    ['nope', 'text'],
    ['__proto__', undefined],
    [undefined, new Error('no money')],
  ])('with the code %s and the reason %s is the application’s error', async (code, reason) => {
    const { hub, open, errors } = await startTestHub()
    let ended = 0
    hub.consumer('/bad', {
      receive() {
        throw new Refusal(code as never, reason as never)
      },
      disconnect: () => void ended++,
    })
    const client = await open('websocket', '/bad')
    await client.send({ type: 'go' })
    expect(await within('the end', client.ended)).toMatchObject({ code: 1011 })
    await until('disconnect ran', () => ended === 1)
    expect(errors).toMatchObject([{ error: { code: 'invalid-option' } }])
  })
})

test('an onError that throws or rejects ends nothing', async () => {
  const log = vi.spyOn(console, 'error').mockImplementation(() => {})
  onTestFinished(() => log.mockRestore())
  for (const onError of [
    () => {
      throw new Error('log is full')
    },
    async () => {
      throw new Error('log is full')
    },
  ]) {
    const { hub, open } = await startTestHub({ onError })
    hub.consumer('/fails', {
      receive() {
        throw new Error('x')
      },
    })
    const client = await open('websocket', '/fails')
    await client.send({ type: 'go' })
    expect(await within('the end', client.ended)).toMatchObject({ code: 1011 })
  }
  expect(log).toHaveBeenCalledTimes(2)
})

// Symptom: groupSend resolved and nobody got anything, or an uncaught exception ended the process later. Cause: the message
// was checked, but not the text that was made of it.
describe('a message that is not what it seems', () => {
  const cycle: { type: string; [key: string]: unknown } = { type: 'x' }
  cycle.self = cycle
  test.each([
    ['a toJSON that returns nothing', { type: 'x', toJSON: () => undefined }],
    ['a toJSON that returns a reserved type', { type: 'x', toJSON: () => ({ type: 'groupcast.close' }) }],
    ['a BigInt', { type: 'x', n: 1n }],
    ['a cycle', cycle],
  ])('%s is refused at the call', async (_what, message) => {
    const { hub } = await startTestHub()
    await expect(hub.groupSend('a', message)).rejects.toMatchObject({
      code: 'invalid-message',
      name: 'MisuseError',
    })
    await expect(hub.send('a', message)).rejects.toMatchObject({ code: 'invalid-message' })
  })

  test('changed after the call is sent as it was', async () => {
    const { hub, open } = await startTestHub({
      messages: {
        x: { '~standard': { version: 1, vendor: 'test', validate: async (value: unknown) => ({ value }) } },
      },
    } as object)
    const client = await open('sse', '/events?group=a')
    const message = { type: 'x', n: 1 }
    const sent = hub.groupSend('a', message)
    message.n = 2
    await sent
    await until('it has come', () => client.messages.length === 1)
    expect(JSON.parse(client.messages[0] ?? '')).toEqual({ type: 'x', n: 1 })
  })
})

// Symptom: a typo in the application's own groupSend closed the client with 4522, and onError heard nothing. Cause: every
// schema error that came out of a hook was taken for the client's.
test('a message of the application that fits no schema is the application’s error', async () => {
  const schema = { '~standard': { version: 1, vendor: 'test', validate: (value: unknown) => ({ value }) } }
  const { hub, open, errors } = await startTestHub({ messages: { ok: schema } } as object)
  hub.consumer('/typo', { receive: () => hub.groupSend('g', { type: 'typo' }) })
  const client = await open('websocket', '/typo')
  await client.send({ type: 'ok' })
  expect(await within('the end', client.ended)).toMatchObject({ code: 1011 })
  expect(errors).toMatchObject([{ error: { code: 'invalid-message' } }])
})

// Symptom: `/api/groups` listed a group for ever. Cause: the channel of a connection that had just left was taken for a worker's.
test('groupAdd with the channel of a connection that has left adds nothing', async () => {
  const { hub, open } = await startTestHub()
  let channel = ''
  hub.consumer('/c', {
    connect(connection) {
      channel = connection.channel
    },
  })
  const client = await open('sse', '/c')
  client.close()
  await until('it is gone', () => hub.stats.connections.sse === 0)
  await hub.groupAdd('ghost', channel)
  expect(hub.groups()).toEqual([])
})

// Symptom: a client was closed with 1011 because another's leave had failed on the layer. Cause: whoever joined awaited the same promise.
test('a groupDiscard that fails is not the fault of who joins meanwhile', async () => {
  const layer = memoryLayer()
  let fail = () => {}
  layer.groupDiscard = () =>
    new Promise((_, reject) => {
      fail = () => reject(new Error('broker is down'))
    })
  const { hub, open, errors } = await startTestHub({ layer })
  const first = await open('websocket', '/events?group=a')
  first.close()
  await until('it has left', () => hub.stats.connections.websocket === 0)
  const second = open('websocket', '/events?group=a')
  await until('it joins', () => hub.group('a').connections.websocket === 1)
  fail()
  const client = await second
  await hub.groupSend('a', { type: 'x' })
  await until('it has come', () => client.messages.length === 1)
  expect(errors).toEqual([])
})

test('what others put on the layer is reported, and what comes after it arrives', async () => {
  const layer = memoryLayer()
  const { hub, open, errors } = await startTestHub({ layer })
  let channel = ''
  hub.consumer('/c', {
    async connect(connection) {
      channel = connection.channel
      await connection.join('a')
    },
    handlers: { handled() {} },
  })
  const client = await open('websocket', '/c')
  await layer.groupSend('a', 'not json')
  await layer.send(channel, '{"type":"groupcast.close","code":17}')
  await layer.send(channel, '{"x":"groupcast."}')
  await hub.groupSend('a', { type: 'x' })
  await until('it has come', () => client.messages.includes('{"type":"x"}'))
  expect(errors.length).toBeGreaterThanOrEqual(2)
})

test.each([Number.POSITIVE_INFINITY, Number.NaN, -1, 0, 2 ** 31])(
  'close refuses the deadline %d',
  async (deadlineMs) => {
    const { hub } = await startTestHub()
    await expect(hub.close({ deadlineMs })).rejects.toMatchObject({
      code: 'invalid-option',
      message: expect.stringContaining(`deadlineMs is ${deadlineMs}:`),
    })
  },
)

test('close lets go of the servers although the layer fails to close', async () => {
  const layer = memoryLayer()
  layer.close = () => Promise.reject(new Error('broker is down'))
  const { hub, url } = await startTestHub({ layer })
  await expect(hub.close()).rejects.toThrow('broker is down')
  expect(await (await fetch(`${url}/events`)).text()).toBe('app')
  layer.close = async () => {}
  hub.close = async () => {}
})

test('a malformed frame ends the connection after what was said before it', async () => {
  const { hub, open } = await startTestHub()
  hub.consumer('/c', { receive: () => new Promise((resolve) => setImmediate(() => resolve('done'))) })
  const client = await open('websocket+envelope', '/c')
  void client.send({ send: { type: 'x' }, reply: 1 })
  void client.send('no command')
  expect(await within('the end', client.ended)).toMatchObject({ code: 4522 })
  expect(client.controls.at(-1)).toEqual({ reply: 1, result: 'done' })
})

test('a command with a bad name or message is answered, and the connection goes on', async () => {
  const { open } = await startTestHub()
  const client = await open('websocket+envelope', '/events')
  const commands = [
    [{ join: 'bad name', reply: 1 }, 'invalid-name'],
    [{ send: { text: 'no type' }, reply: 2 }, 'invalid-message'],
    [{ publish: null, reply: 3 }, 'invalid-name'],
    [{ leave: ['a'], reply: 4 }, 'invalid-name'],
    [{ send: { type: 'groupcast.reset' }, reply: 5 }, 'invalid-message'],
    [{ publish: { group: 'a' }, reply: 6 }, 'invalid-message'],
  ] as const
  for (const [index, [command, code]] of commands.entries()) {
    await client.send(command)
    await until('it is answered', () => client.controls.length === index + 2)
    expect(client.controls.at(-1)).toMatchObject({ reply: command.reply, error: { code } })
  }
})

describe('options that cannot be', () => {
  test.each([
    [{ onError: 5 }, 'createHub has onError: 5: it must be a function.'],
    [{ layer: {} }, 'createHub has layer: {}: it must be a channel layer, such as memoryLayer().'],
    [{ clock: {} }, 'it must be a Clock'],
    [{ groups: {} }, 'it must be a list of { match, slow, history }'],
    [{ limits: null }, 'it must be an object of limits'],
    [{ allowedHosts: 'localhost' }, 'allowedHosts is "localhost": it must be a list of host names, or null.'],
    [
      { limits: { heartbeatMs: Number.POSITIVE_INFINITY } },
      'limits.heartbeatMs is Infinity: it must be a whole number',
    ],
    [{ slow: 'drop' }, 'createHub has no option "slow"'],
  ])('%j', (options, text) => {
    expect(() => createHub(options as never)).toThrow(
      expect.objectContaining({ code: 'invalid-option', message: expect.stringContaining(text) }),
    )
  })

  // Symptom: `jion: 'nobody'` let anyone in. Cause: unknown keys of a rule were ignored, and the default is open.
  test.each([[{ rule: [] }], [{ rules: [{ match: '*', jion: 'nobody' }] }]])(
    'of groupsConsumer: %j',
    (options) => {
      expect(() => groupsConsumer(options as never)).toThrow(
        expect.objectContaining({ code: 'invalid-option' }),
      )
    },
  )

  test('of a consumer', () => {
    const hub = createHub()
    expect(() => hub.consumer('/x', { connect: 5 } as never)).toThrow(
      'connect of the consumer at "/x" must be a function.',
    )
    expect(() => hub.consumer('/x', null as never)).toThrow('must be an object with hooks')
  })
})
