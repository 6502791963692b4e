/** History on the whole server: clients that stop on one transport and go on with another, pages over HTTP, a restart. */
import { describe, expect, onTestFinished, test } from 'vitest'
import { loadConfig } from '../../src/server/config/load.ts'
import { startServer } from '../../src/server/server.ts'
import { serverKind } from '../support/servers.ts'
import { until } from '../support/until.ts'
import { connect, type HistoryClient, KINDS, KINDS_WITH_CURSOR, type Where } from './history-client.ts'

const GROUPS = [
  { match: 'few.*', history: { count: 3 } },
  { match: 'none.*' },
  { match: '*', history: { count: 300 } },
]

async function start() {
  const loaded = loadConfig({
    flags: { port: 0, groups: GROUPS, backend: serverKind.name },
    env: {},
    cwd: '/nowhere',
  })
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems))
  const server = await startServer(loaded.config)
  onTestFinished(() => server.close())
  const { url } = server
  return {
    url,
    server,
    /** Publishes messages numbered so over HTTP, one after another. @returns their cursors */
    async publish(group: string, ...numbers: number[]): Promise<string[]> {
      const cursors: string[] = []
      for (const n of numbers) {
        const response = await fetch(`${url}/api/groups/${group}/messages`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ type: 'n', n }),
        })
        expect(response.status).toBe(200)
        cursors.push(((await response.json()) as { cursor: string }).cursor)
      }
      return cursors
    },
    connect: (kind: (typeof KINDS)[number], where: Where) => connect(kind, url, where),
  }
}

async function heard(client: HistoryClient, wanted: readonly (string | number)[]): Promise<void> {
  await until(`${client.heard} has as much as ${wanted}`, () => client.heard.length >= wanted.length)
  expect(client.heard).toEqual(wanted.map(String))
}

const A = { groups: ['a'] }

describe.each(KINDS_WITH_CURSOR)('who stops on %s', (from) => {
  test.each(KINDS)('goes on with %s, and misses nothing and sees nothing twice', async (to) => {
    const { publish, connect } = await start()
    await publish('a', 1)
    const first = await connect(from, A)
    await publish('a', 2, 3)
    await heard(first, [2, 3])
    first.close()
    await publish('a', 4, 5, 6)
    const second = await connect(to, { ...A, cursor: first.cursor ?? '' })
    await publish('a', 7)
    await heard(second, [4, 5, 6, 7])
  })

  test('has a cursor from the first moment, before any message', async () => {
    const { publish, connect } = await start()
    await publish('a', 1)
    const first = await connect(from, A)
    await until('it has a cursor', () => first.cursor !== null)
    first.close()
    await publish('a', 2)
    const second = await connect('websocket', { ...A, cursor: first.cursor ?? '' })
    await heard(second, [2])
  })
})

describe.each(KINDS)('on %s', (kind) => {
  test('what several groups got comes back in one order, and what keeps no history does not', async () => {
    const { publish, connect } = await start()
    const groups = ['a', 'b', 'none.x']
    const [cursor = ''] = await publish('a', 1)
    await publish('b', 2)
    await publish('none.x', 3)
    await publish('a', 4)
    await publish('c', 5)
    await publish('b', 6)
    const client = await connect(kind, { groups, cursor })
    await publish('none.x', 7)
    await publish('b', 8)
    await heard(client, [2, 4, 6, 7, 8])
  })

  test.each(['x', '0', '-1.5', 'ffffffffffffffff.1', '../../x', 'é'.repeat(20), '~'.repeat(5000)])(
    'the cursor %.20j resets',
    async (cursor) => {
      const { publish, connect } = await start()
      await publish('a', 1)
      const client = await connect(kind, { ...A, cursor: kind === 'sse' ? encodeURI(cursor) : cursor })
      await publish('a', 2)
      await heard(client, ['reset a', 2])
      const after = await connect('websocket', { ...A, cursor: client.cursor ?? '' })
      await publish('a', 3)
      await heard(after, kind === 'websocket' ? [2, 3] : [3])
    },
  )

  test('a group that cannot tell resets before what the others missed, and gives nothing in part', async () => {
    const { publish, connect } = await start()
    const [cursor = ''] = await publish('a', 1)
    await publish('few.x', 2, 3, 4, 5)
    await publish('a', 6)
    const client = await connect(kind, { groups: ['a', 'few.x'], cursor })
    await publish('few.x', 7)
    await heard(client, ['reset few.x', 6, 7])
    const after = await connect('websocket', { groups: ['a', 'few.x'], cursor: client.cursor ?? '' })
    await publish('a', 8)
    // A plain WebSocket is told no cursor but that of the reset, which is the one that it brought: so it is told again.
    await heard(after, kind === 'websocket' ? ['reset few.x', 6, 8] : [8])
  })

  test('history=2 begins with the newest two of each group', async () => {
    const { publish, connect } = await start()
    await publish('a', 1, 2)
    await publish('b', 3)
    await publish('a', 4)
    const client = await connect(kind, { groups: ['a', 'b', 'none.x'], history: 2 })
    await publish('b', 5)
    await heard(client, [2, 3, 4, 5])
    if (kind === 'websocket') return
    const [cursor] = client.cursors
    const after = await connect(kind, { groups: ['a', 'b'], cursor: cursor ?? '', history: 1 })
    await heard(after, [3, 4, 5])
  })

  test('a restart resets: what was kept in memory is gone', async () => {
    const before = await start()
    const [cursor = ''] = await before.publish('a', 1)
    const { publish, connect } = await start()
    await publish('a', 2)
    const client = await connect(kind, { ...A, cursor })
    await publish('a', 3)
    await heard(client, ['reset a', 3])
  })
})

test('the cursor that publishing answers with is one to resume from', async () => {
  const { publish, connect } = await start()
  const cursors = await publish('a', 1, 2, 3)
  expect(new Set(cursors).size).toBe(3)
  const clients = await Promise.all(cursors.map((cursor) => connect('sse', { ...A, cursor })))
  await publish('a', 4)
  for (const [index, client] of clients.entries()) await heard(client, [1, 2, 3, 4].slice(index + 1))
  expect(await publish('none.x', 1)).toEqual([null])
})

test('a group that is joined later begins with its newest, which do not come again on return', async () => {
  const { publish, connect } = await start()
  await publish('b', 1, 2, 3)
  const client = await connect('websocket+envelope', A)
  await publish('a', 4)
  await heard(client, [4])
  const { cursor } = client
  client.send({ join: 'b', history: 2, reply: 7 })
  await heard(client, [4, 'past 2', 'past 3'])
  await until('it is answered', () => client.replies.length === 1)
  expect(client.replies).toEqual([{ reply: 7, result: { group: 'b' } }])
  expect(client.cursors).toEqual([cursor, null, null])
  client.close()
  await publish('b', 5)
  const after = await connect('websocket', { groups: ['a', 'b'], cursor: client.cursor ?? '' })
  await heard(after, [5])
})

describe('GET /api/groups/{group}/messages', () => {
  interface Page {
    readonly messages: readonly { readonly cursor: string; readonly message: { readonly n: number } }[]
    readonly cursor: string
    readonly hasMore: boolean
  }

  test('gives 250 messages in three pages', async () => {
    const { url, publish, connect } = await start()
    const [first = ''] = await publish('a', 0)
    const lines = Array.from({ length: 250 }, (_, n) =>
      JSON.stringify({ groups: ['a'], message: { type: 'n', n: n + 1 } }),
    )
    await fetch(`${url}/api/publish`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-ndjson' },
      body: lines.join('\n'),
    })
    const pages: Page[] = []
    let after = first
    do {
      const response = await fetch(`${url}/api/groups/a/messages?after=${after}&limit=100`)
      expect(response.headers.get('cache-control')).toBe('no-store')
      const page = (await response.json()) as Page
      pages.push(page)
      after = page.cursor
    } while (pages.at(-1)?.hasMore === true)
    expect(pages.map(({ messages }) => messages.length)).toEqual([100, 100, 50])
    const messages = pages.flatMap((page) => page.messages)
    expect(messages.map(({ message }) => message.n)).toEqual(lines.map((_, n) => n + 1))

    const client = await connect('ndjson', { ...A, cursor: messages[247]?.cursor ?? '' })
    await heard(client, [249, 250])
    const next = await connect('ndjson', { ...A, cursor: after })
    await publish('a', 251)
    await heard(next, [251])
  })

  test('gives the newest without a cursor, and where to go on from with a bad one', async () => {
    const { url, publish, connect } = await start()
    await publish('few.x', 1, 2, 3, 4)
    const newest = (await (await fetch(`${url}/api/groups/few.x/messages?limit=2`)).json()) as Page
    expect(newest.messages.map(({ message }) => message.n)).toEqual([3, 4])
    expect(newest.hasMore).toBe(true)
    const response = await fetch(`${url}/api/groups/few.x/messages?after=x.1`)
    const problem = (await response.json()) as { readonly cursor: string }
    expect([response.status, problem]).toMatchObject([410, { code: 'history-lost', cursor: newest.cursor }])
    const client = await connect('sse', { groups: ['few.x'], cursor: problem.cursor })
    await publish('few.x', 5)
    await heard(client, [5])
    expect((await fetch(`${url}/api/groups/none.x/messages`)).status).toBe(404)
  })
})
