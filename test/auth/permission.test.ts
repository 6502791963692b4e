/** What clients may do to groups: by claims, by hooks, by rules; and again when they refresh their token. */
import {
  type Connection,
  type Consumer,
  type ErrorCode,
  GroupcastError,
  groupsConsumer,
  memoryLayer,
} from 'groupcast'
import { signToken, tokens } from 'groupcast/auth'
import { manualClock } from 'groupcast/testing'
import { describe, expect, test } from 'vitest'
import { ERRORS } from '../../src/errors.ts'
import { encodeNodeMessage } from '../../src/hub/node-message.ts'
import { NODES_GROUP } from '../../src/names.ts'
import { CLIENT_KINDS, type TestClient } from '../support/clients.ts'
import { startTestHub } from '../support/hub-server.ts'
import { until, within } from '../support/until.ts'
import { now, SECRET, token } from './forge.ts'

const authenticate = tokens({ key: { algorithm: 'HS256', secret: SECRET }, required: false })
const bearer = (text: string) => ({ Authorization: `Bearer ${text}` })
const withGroups = (groupcast: object, more: object = {}) => token({ groupcast, ...more })

type Reply = {
  readonly reply: unknown
  readonly result?: unknown
  readonly error?: { readonly code: string }
}

let lastReply = 0

/** The answer to a command; `ok`, or the code of the refusal. */
async function say(client: TestClient, command: object): Promise<string> {
  const reply = ++lastReply
  await client.send({ ...command, reply })
  const found = () => (client.controls as unknown as Reply[]).find((control) => control.reply === reply)
  await until('the reply has come', () => found() !== undefined)
  return found()?.error?.code ?? 'ok'
}

const publish = (group: string) => ({ publish: { group, message: { type: 'x', group } } })
const KINDS = CLIENT_KINDS.filter((kind) => kind !== 'websocket')

describe.each(KINDS)('%s', (kind) => {
  test('claims need no code: they decide about joins and sends, and nothing else is allowed', async () => {
    const { hub, open } = await startTestHub({ authenticate })
    hub.consumer('/bare', {})
    const claims = { join: ['chat.*'], send: ['chat.lobby'] }
    const client = await open(kind, '/bare', { headers: bearer(withGroups(claims)) })
    expect([
      await say(client, { join: 'chat.a' }),
      await say(client, { join: 'chat.' }),
      await say(client, { join: 'chat' }),
      await say(client, { join: 'secret' }),
      await say(client, { join: 'no.such.group' }),
      await say(client, publish('chat.lobby')),
      await say(client, publish('chat.a')),
      await say(client, publish('secret')),
    ]).toEqual(['ok', 'ok', 'forbidden', 'forbidden', 'forbidden', 'ok', 'forbidden', 'forbidden'])
    const visitor = await open(kind, '/bare')
    expect(await say(visitor, { join: 'chat.a' })).toBe('not-supported')
    const member = await open(kind, '/bare', { headers: bearer(token()) })
    expect(await say(member, publish('chat.lobby'))).toBe('not-supported')
  })

  test('what is denied and what is not there look the same, to the byte', async () => {
    const { hub, open } = await startTestHub({ authenticate })
    await hub.groupAdd('secret', hub.newChannel())
    const client = await open(kind, '/events?group=chat.a', {
      headers: bearer(withGroups({ join: ['chat.*'] })),
    })
    const texts: string[] = []
    for (const group of ['secret', 'nowhere']) {
      await say(client, { join: group })
      await say(client, publish(group))
      const [joined, sent] = client.controls.slice(-2)
      texts.push(
        JSON.stringify([joined, sent])
          .replace(/"reply":\d+/g, '')
          .replaceAll(group, 'G'),
      )
      const refused = await open(kind, `/events?group=${group}`, {
        headers: bearer(withGroups({ join: ['chat.*'] })),
      })
      texts.push(
        refused.kind === 'websocket+envelope'
          ? (await refused.ended).reason.replaceAll(group, 'G')
          : refused.body.replaceAll(group, 'G'),
      )
    }
    expect(texts.slice(0, 2)).toEqual(texts.slice(2))
  })

  test('rules tell anyone, who is authenticated, and who has a token for the group apart', async () => {
    const { hub, open } = await startTestHub({ authenticate })
    const rules = [
      { match: 'open.*', join: 'anyone', send: 'anyone' },
      { match: 'in.*', join: 'authenticated', send: 'authenticated' },
      { match: 'team.*', join: 'token', send: 'token' },
      { match: '*', join: 'nobody' },
    ] as const
    hub.consumer('/ruled', groupsConsumer({ rules }))
    const clients = {
      visitor: await open(kind, '/ruled'),
      member: await open(kind, '/ruled', { headers: bearer(token()) }),
      bearer: await open(kind, '/ruled', {
        headers: bearer(withGroups({ join: ['team.*', 'shut'], send: ['team.a'] })),
      }),
    }
    const outcomes: Record<string, string> = {}
    for (const [who, client] of Object.entries(clients)) {
      for (const group of ['open.a', 'in.a', 'team.a', 'team.b', 'shut']) {
        outcomes[`${who} ${group}`] =
          `${await say(client, { join: group })} ${await say(client, publish(group))}`
      }
    }
    expect(outcomes).toEqual({
      'visitor open.a': 'ok ok',
      'visitor in.a': 'forbidden forbidden',
      'visitor team.a': 'forbidden forbidden',
      'visitor team.b': 'forbidden forbidden',
      'visitor shut': 'forbidden forbidden',
      'member open.a': 'ok ok',
      'member in.a': 'ok ok',
      'member team.a': 'forbidden forbidden',
      'member team.b': 'forbidden forbidden',
      'member shut': 'forbidden forbidden',
      // A token that names groups is good for those alone.
      'bearer open.a': 'forbidden forbidden',
      'bearer in.a': 'forbidden forbidden',
      'bearer team.a': 'ok ok',
      'bearer team.b': 'ok forbidden',
      'bearer shut': 'forbidden forbidden',
    })
  })

  test('history that is denied is as if there were none: newest, resumed, joined late', async () => {
    const { hub, open } = await startTestHub({ authenticate, groups: [{ match: '*', history: {} }] })
    await hub.groupSend('a', { type: 'n', n: 1 })
    const { cursor: before } = await hub.groupSend('b', { type: 'n', n: 2 })
    await hub.groupSend('a', { type: 'n', n: 3 })
    await hub.groupSend('b', { type: 'n', n: 4 })
    const claims = { join: ['a', 'b'], history: ['b'] }
    const headers = bearer(withGroups(claims))
    const numbers = (client: TestClient) => client.messages.map((text) => JSON.parse(text).n)
    const clients = [
      await open(kind, '/events?group=a&group=b&history=10', { headers }),
      await open(kind, `/events?group=a&group=b&cursor=${before}`, { headers }),
      await open(kind, '/events', { headers }),
    ] as const
    expect(await say(clients[2], { join: 'a', history: 10 })).toBe('ok')
    expect(await say(clients[2], { join: 'b', history: 10 })).toBe('ok')
    await hub.groupSend('a', { type: 'n', n: 5 })
    for (const client of clients) await until('what is live has come', () => numbers(client).includes(5))
    expect(clients.map(numbers)).toEqual([
      [2, 4, 5],
      [4, 5],
      [2, 4, 5],
    ])
    for (const client of clients) expect(client.controls.some((control) => 'reset' in control)).toBe(false)
  })

  /*
   * The docs said that the hook is asked about the history that a client wants. It is not about groups that the application joins by itself: claims
   * that do not name such a group would take from each client that comes back what it missed of it.
   */
  test.each([
    ['unchecked', { history: 0 }, 'is the application’s to give', [2, 3], []],
    ['checked', { history: 0, checked: true }, 'is asked about', [3], ['join room', 'history room']],
    ['unchecked, newest', { history: 9 }, 'is the application’s to give', [1, 2, 3], []],
    ['checked, newest', { history: 9, checked: true }, 'is asked about', [3], ['join room', 'history room']],
  ] as const)(
    'the history of a group joined %s %o %s',
    async (what, options, _whose, expected, questions) => {
      const { hub, open } = await startTestHub({ authenticate, groups: [{ match: '*', history: {} }] })
      const asked: string[] = []
      hub.consumer('/c', {
        connect: (connection) => connection.join('room', options),
        authorize(_connection, action, group) {
          asked.push(`${action} ${group}`)
          return action === 'join'
        },
      })
      const { cursor } = await hub.groupSend('room', { type: 'n', n: 1 })
      await hub.groupSend('room', { type: 'n', n: 2 })
      const query = what.endsWith('newest') ? '' : `?cursor=${cursor}`
      const client = await open(kind, `/c${query}`, { headers: bearer(withGroups({ join: ['room'] })) })
      await hub.groupSend('room', { type: 'n', n: 3 })
      const numbers = () => client.messages.map((text) => JSON.parse(text).n)
      await until('what is live has come', () => numbers().includes(3))
      expect(numbers()).toEqual(expected)
      expect(client.controls.some((control) => 'reset' in control)).toBe(false)
      expect(asked).toEqual(questions)
      // Claims that name other groups change nothing of it.
      const stranger = await open(kind, `/c${query}`, { headers: bearer(withGroups({ join: ['x'] })) })
      const isIn = () => stranger.messages.map((text) => JSON.parse(text).n)
      if (questions.length > 0) return
      await until('what it missed has come', () => isIn().includes(3))
      expect(isIn()).toEqual(expected)
    },
  )

  test('a refreshed token keeps the connection, and groups that it does not allow are left with a notice', async () => {
    const { hub, open } = await startTestHub({ authenticate })
    hub.consumer('/c', { connect: (connection) => connection.join('own') })
    const client = await open(kind, '/c', { headers: bearer(withGroups({ join: ['a', 'b'] })) })
    expect(await say(client, { join: 'a' })).toBe('ok')
    expect(await say(client, { join: 'b' })).toBe('ok')
    expect(await say(client, { token: withGroups({ join: ['b', 'c'] }, { exp: now() + 3_000 }) })).toBe('ok')
    await until('it is told', () => client.controls.some((control) => 'left' in control))
    expect(client.controls.find((control) => 'left' in control)).toEqual({ left: { groups: ['a'] } })
    const result = (client.controls as unknown as Reply[]).findLast(
      (control) => control.reply === lastReply,
    )?.result
    expect(result).toMatchObject({ identity: 'ann' })
    expect((result as { expiresInMs: number }).expiresInMs).toBeGreaterThan(2_900_000)
    // Its own group was the application's to give.
    expect(hub.groups().map(({ name }) => name)).toEqual(['b', 'own'])
    expect([await say(client, { join: 'a' }), await say(client, { join: 'c' })]).toEqual(['forbidden', 'ok'])
    // Claims that say nothing of groups allow none, where nothing else does.
    expect(await say(client, { token: token() })).toBe('ok')
    await until('it is told', () => client.controls.filter((control) => 'left' in control).length === 2)
    expect(hub.groups().map(({ name }) => name)).toEqual(['own'])
  })

  test.each<[string, () => object, string]>([
    ['a token that is none', () => ({ token: 'x' }), 'invalid-token'],
    ['an expired one', () => ({ token: token({ exp: 1 }) }), 'invalid-token'],
    ['one of somebody else', () => ({ token: token({ sub: 'eve' }) }), 'forbidden'],
    ['an empty one', () => ({ token: '' }), 'invalid-message'],
    ['a number', () => ({ token: 7 }), 'invalid-message'],
    ['a token and a join', () => ({ token: token(), join: 'a' }), 'invalid-message'],
  ])('%s does not refresh, and the old one is good for what it was', async (what, command, code) => {
    const { hub, open } = await startTestHub({ authenticate })
    const client = await open(kind, '/events', { headers: bearer(withGroups({ join: ['a'] })) })
    if (what === 'a token and a join' && kind === 'websocket+envelope') {
      // No command at all.
      await client.send(command())
      expect((await within('its end', client.ended)).code).toBe(ERRORS['invalid-message'].closeCode)
      return
    }
    if (code === 'invalid-message' && kind !== 'websocket+envelope') {
      // The answer to the post says so.
      await expect(client.send(command())).rejects.toThrow('422')
      return
    }
    expect(await say(client, command())).toBe(code)
    expect(await say(client, { join: 'a' })).toBe('ok')
    expect(hub.stats.connections[client.kind.split('+')[0] as 'sse']).toBe(1)
  })

  test('who came without a token has none to refresh', async () => {
    const { open } = await startTestHub({ authenticate })
    expect(await say(await open(kind, '/events'), { token: token() })).toBe('not-supported')
    const { open: openBare } = await startTestHub()
    expect(await say(await openBare(kind, '/events'), { token: token() })).toBe('not-supported')
  })

  test('a revoked token does not refresh, and a newer one of the same identity does', async () => {
    const layer = memoryLayer()
    const { hub, open } = await startTestHub({ authenticate, layer })
    const at = Date.now() - 20_000
    await layer.groupSend(NODES_GROUP, encodeNodeMessage({ type: 'groupcast.revoke', identity: 'ann', at }))
    await until('it is heard of', () => hub.stats.revocations === 1)
    const client = await open(kind, '/events', { headers: bearer(token()) })
    expect(await say(client, { token: token({ iat: now() - 30 }) })).toBe('revoked')
    expect(await say(client, { token: token({ iat: now() - 1 }) })).toBe('ok')
  })

  test('the hook of a consumer is asked about join, send and history, and again at a refresh', async () => {
    const { hub, open } = await startTestHub({ authenticate, groups: [{ match: '*', history: {} }] })
    const asked: string[] = []
    const members = new Set(['ann'])
    hub.consumer('/c', {
      authorize({ identity }, action, group) {
        asked.push(`${action} ${group}`)
        return members.has(identity?.id ?? '')
      },
    })
    const client = await open(kind, '/c', { headers: bearer(token()) })
    expect(await say(client, { join: 'a', history: 3 })).toBe('ok')
    expect(await say(client, publish('a'))).toBe('ok')
    members.clear()
    expect(await say(client, { token: token() })).toBe('ok')
    expect(asked).toEqual(['join a', 'history a', 'send a', 'join a'])
    await until('it is told', () => client.controls.some((control) => 'left' in control))
    expect(hub.groups()).toEqual([])
  })
})

/*
 * A consumer that took `groupsConsumer()` and said no to everything by an `authorize` of its own still let clients into the groups of their URL:
 * the borrowed `connect` asked it, and took a no for a reason to join without asking.
 */
describe.each(CLIENT_KINDS)('%s: an authorize beside a borrowed groupsConsumer()', (kind) => {
  test.each([
    ['spread', (groups: Consumer) => groups],
    ['called', (groups: Consumer) => ({ connect: (given: Connection) => groups.connect?.(given) })],
  ] as const)('decides about the groups of the URL, and their history: %s', async (_how, borrow) => {
    const { hub, open, errors } = await startTestHub({ groups: [{ match: '*', history: {} }] })
    await hub.groupSend('secret', { type: 'm', text: 'old' })
    const asked: string[] = []
    hub.consumer('/c', {
      ...borrow(groupsConsumer({ groups: ['own'] })),
      authorize(_connection, action, group) {
        asked.push(`${action} ${group}`)
        return group !== 'secret' && action === 'join'
      },
    })
    const refused = await open(kind, '/c?group=a&group=secret&history=9')
    if (refused.kind.startsWith('websocket'))
      expect((await within('its end', refused.ended)).code).toBe(ERRORS.forbidden.closeCode)
    else expect(refused.status).toBe(403)
    expect(refused.messages).toEqual([])
    await until('it has left', () => hub.groups().length === 0)
    expect(asked).toEqual(['join a', 'history a', 'join secret'])
    await open(kind, '/c?group=a&group=own')
    await until('it is in', () => hub.groups().length === 2)
    expect(asked.slice(3)).toEqual(['join a', 'history a'])
    expect(errors).toEqual([])
  })
})

/*
 * Each group was asked about after the one before, and `authorize` had no deadline: one answer that never came kept a client in all groups behind it,
 * also in those that its new claims deny.
 */
describe.each(CLIENT_KINDS)('%s: a refresh whose hook never answers', (kind) => {
  test('leaves at once what the claims deny, and ends with the time that there is', async () => {
    const clock = manualClock()
    const { hub, open } = await startTestHub({ authenticate, clock, limits: { heartbeatMs: false } })
    let isAsleep = false
    hub.consumer('/c', {
      ...groupsConsumer(),
      authorize: () => (isAsleep ? new Promise<boolean>(() => {}) : true),
    })
    const claims = (join: string[]) => bearer(withGroups({ join }))
    const client = await open(kind, '/c?group=slow&group=denied', { headers: claims(['slow', 'denied']) })
    await until('it is in', () => hub.groups().length === 2)
    isAsleep = true
    const refreshed = client.send({ token: withGroups({ join: ['slow'] }) })
    await until('it has left', () => hub.groups().length === 1)
    expect(hub.groups().map(({ name }) => name)).toEqual(['slow'])
    clock.advance(10_001)
    expect((await within('its end', client.ended)).code).toBe(ERRORS['authentication-timeout'].closeCode)
    await refreshed
    expect(hub.groups()).toEqual([])
  })
})

/*
 * What claims allow was remembered by their object: an application that changes the one it has of each member, and gives it again, changed
 * nothing.
 */
test('claims that the application has changed count with the next refresh, and for the next connection', async () => {
  const claims = { groupcast: { join: ['a', 'b'] } }
  const { hub, open } = await startTestHub({ authenticate: () => ({ id: 'ann', claims }) })
  const client = await open('websocket+envelope', '/events')
  expect([await say(client, { join: 'a' }), await say(client, { join: 'b' })]).toEqual(['ok', 'ok'])
  claims.groupcast.join = ['b']
  expect(await say(client, { token: 'x' })).toBe('ok')
  await until('it has left', () => hub.groups().length === 1)
  expect(await say(await open('websocket+envelope', '/events'), { join: 'a' })).toBe('forbidden')
})

/*
 * A refresh whose hook threw (it reads from a database or a layer that was away for a moment) was answered with that error, and the client stayed
 * in all its groups with its new identity, though nobody had said that it may. No later look was due.
 */
describe.each(CLIENT_KINDS)('%s: a refresh whose hook cannot say', (kind) => {
  test.each<[string, () => Error, ErrorCode]>([
    ['because the layer is away', () => new GroupcastError('layer-unavailable'), 'layer-unavailable'],
    ['because the layer is late', () => new GroupcastError('layer-timeout'), 'layer-timeout'],
    ['because it is broken', () => new Error('no such table'), 'internal-error'],
  ])('closes the connection, which gets nothing more, %s', async (_why, fault, code) => {
    const { hub, open, errors } = await startTestHub({ authenticate })
    let isAway = false
    hub.consumer('/c', {
      ...groupsConsumer(),
      authorize() {
        if (isAway) throw fault()
        return true
      },
    })
    const client = await open(kind, '/c?group=a&group=b', { headers: bearer(token()) })
    await until('it is in', () => hub.groups().length === 2)
    isAway = true
    const refreshed = client.send({ token: token() })
    const { code: closeCode } = await within('its end', client.ended)
    await refreshed
    expect(closeCode).toBe(ERRORS[code].closeCode)
    expect(hub.groups()).toEqual([])
    expect(errors).toHaveLength(code === 'internal-error' ? 1 : 0)
    // It comes back, and is asked about anew.
    isAway = false
    await open(kind, '/c?group=a', { headers: bearer(token()) })
    await until('it is in', () => hub.groups().length === 1)
  })
})

test('a group of the URL is looked at again when the client refreshes its token', async () => {
  const { hub, open } = await startTestHub({ authenticate })
  const members = new Set(['ann'])
  const authorize = ({ identity }: Connection) => members.has(identity?.id ?? '')
  hub.consumer('/c', { ...groupsConsumer({ groups: ['own'] }), authorize })
  const client = await open('websocket+envelope', '/c?group=a', { headers: bearer(token()) })
  members.clear()
  expect(await say(client, { token: token() })).toBe('ok')
  expect(client.controls).toContainEqual({ left: { groups: ['a'] } })
  expect(hub.groups().map(({ name }) => name)).toEqual(['own'])
})

test('a consumer that borrows the groups of the URL, and has nobody to ask, leaves them to the rules', async () => {
  const { hub, open } = await startTestHub({ authenticate })
  const groups = groupsConsumer({ rules: [{ match: 'shut', join: 'nobody' }] })
  hub.consumer('/c', { connect: (connection) => groups.connect?.(connection) })
  const client = await open('websocket+envelope', '/c?group=a')
  await until('it is in', () => hub.groups().length === 1)
  expect(await say(client, { join: 'b' })).toBe('not-supported')
  expect((await open('sse', '/c?group=shut')).status).toBe(403)
  // Who brings claims is held to them.
  const headers = bearer(withGroups({ join: ['a'] }))
  expect((await open('sse', '/c?group=b', { headers })).status).toBe(403)
})

test('a plain WebSocket refreshes too, and a bad token closes it, for it can be told in no other way', async () => {
  const { hub, open } = await startTestHub({ authenticate })
  const client = await open('websocket', '/events?group=a', { headers: bearer(withGroups({ join: ['a'] })) })
  await client.send({ token: withGroups({ join: ['b'] }) })
  await until('it is told', () => client.messages.length === 1)
  expect(JSON.parse(client.messages[0] ?? '')).toEqual({ type: 'groupcast.left', groups: ['a'] })
  expect(hub.groups()).toEqual([])
  await client.send({ token: 'x' })
  expect((await within('its end', client.ended)).code).toBe(ERRORS['invalid-token'].closeCode)
})

test('a message that has a type and a token is a message', async () => {
  const { hub, open } = await startTestHub({ authenticate })
  const received: unknown[] = []
  hub.consumer('/c', { receive: (_connection, message) => void received.push(message) })
  for (const kind of ['websocket', 'sse'] as const) {
    await (await open(kind, '/c')).send({ type: 'login', token: 'mine' })
  }
  await until('both have come', () => received.length === 2)
  expect(received).toEqual([
    { type: 'login', token: 'mine' },
    { type: 'login', token: 'mine' },
  ])
})

test.each([
  ['is not allowed', () => false, 'forbidden'],
  ['cannot be looked at', () => Promise.reject(new GroupcastError('layer-timeout')), 'layer-timeout'],
])('a join that a refresh overtakes is undone where it %s any more', async (_why, answer, code) => {
  // A hook that takes its time would answer by an identity that is no more.
  const { hub, open } = await startTestHub({ authenticate })
  let release = () => {}
  const joins: Promise<unknown>[] = []
  hub.consumer('/c', {
    receive(connection) {
      joins.push(connection.join('a', { checked: true }).catch((error) => error.code))
    },
    async authorize({ identity }) {
      const allowed = identity?.claims.role === 'member'
      await new Promise<void>((resolve) => {
        release = resolve
      })
      return allowed || answer()
    },
  })
  const client = await open('websocket+envelope', '/c', { headers: bearer(token({ role: 'member' })) })
  await client.send({ send: { type: 'x' } })
  await until('it is asked', () => joins.length === 1)
  expect(await say(client, { token: token({ role: 'guest' }) })).toBe('ok')
  const turning = setInterval(() => release(), 1)
  expect(await within('the join', joins[0] as Promise<unknown>)).toBe(code)
  clearInterval(turning)
  expect(hub.groups()).toEqual([])
})

test('nobody joins, sends to or reads the group of all nodes', async () => {
  const { hub, open } = await startTestHub({ authenticate })
  hub.consumer('/c', { authorize: () => true })
  const client = await open('websocket+envelope', '/c', {
    headers: bearer(withGroups({ join: ['*'], send: ['*'] })),
  })
  expect(await say(client, { join: 'groupcast.nodes' })).toBe('invalid-name')
  expect(await say(client, publish('groupcast.nodes'))).toBe('invalid-name')
  await expect(hub.groupSend('groupcast.nodes', { type: 'x' })).rejects.toThrow('not a group name')
  await expect(hub.history('groupcast.nodes')).rejects.toThrow('not a group name')
})

test('what signToken makes is what tokens takes', async () => {
  const { hub, open } = await startTestHub({ authenticate })
  hub.consumer('/bare', {})
  const text = await signToken(SECRET, { subject: 'ann', groups: { join: ['a*'] }, expiresInSeconds: 60 })
  const client = await open('ndjson', '/bare', { headers: bearer(text) })
  expect([await say(client, { join: 'abc' }), await say(client, { join: 'b' })]).toEqual(['ok', 'forbidden'])
  await expect(signToken('short', { subject: 'ann' })).rejects.toThrow('shorter than 32 bytes')
  await expect(signToken(SECRET, { subject: '' })).rejects.toThrow('The subject is')
  await expect(signToken(SECRET, { subject: 'a', expiresInSeconds: 0.5 })).rejects.toThrow('expiresInSeconds')
})
