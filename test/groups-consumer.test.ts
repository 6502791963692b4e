import { groupsConsumer } from 'groupcast'
import { describe, expect, test } from 'vitest'
import { startTestHub } from './support/hub-server.ts'
import { until, within } from './support/until.ts'

describe('groupsConsumer', () => {
  test('joins the groups of the query, each once, and those that everybody is in', async () => {
    const { hub, open } = await startTestHub()
    hub.consumer('/mine', groupsConsumer({ groups: ['all'], parameter: 'room' }))
    const client = await open('websocket+envelope', '/mine?room=a&room=b&room=a&group=c')
    expect(client.controls[0]).toMatchObject({ open: { groups: ['all', 'a', 'b'] } })
    expect(hub.groups().map(({ name }) => name)).toEqual(['a', 'all', 'b'])
  })

  test('the first rule that matches decides who may join and who may publish', async () => {
    const { hub, open } = await startTestHub()
    const rules = [
      { match: 'chat.secret', join: 'nobody' },
      { match: 'chat.*', send: 'anyone' },
      { match: 'news.*' },
      { match: '*', join: 'nobody' },
    ] as const
    hub.consumer('/ruled', groupsConsumer({ rules }))
    const client = await open('websocket+envelope', '/ruled?group=chat.lobby&group=news.world')
    const replies = () => client.controls.filter((control) => 'reply' in control)
    const outcomes = [
      [{ join: 'chat.other' }, { result: { group: 'chat.other' } }],
      [{ join: 'chat.secret' }, { error: { code: 'forbidden' } }],
      [{ join: 'other' }, { error: { code: 'forbidden' } }],
      [{ publish: { group: 'chat.lobby', message: { type: 'x' } } }, { result: { cursor: null } }],
      [{ publish: { group: 'news.world', message: { type: 'x' } } }, { error: { code: 'forbidden' } }],
      [{ publish: { group: 'chat.secret', message: { type: 'x' } } }, { error: { code: 'forbidden' } }],
    ] as const
    for (const [reply, [command, outcome]] of outcomes.entries()) {
      await client.send({ ...command, reply })
      await until('the reply has come', () => replies().length === reply + 1)
      expect(replies()[reply]).toMatchObject({ reply, ...outcome })
    }
  })

  test('a client that is refused one of its groups joins none', async () => {
    const { hub, open, errors } = await startTestHub()
    hub.consumer('/ruled', groupsConsumer({ rules: [{ match: 'secret', join: 'nobody' }] }))
    const refused = await open('sse', '/ruled?group=a&group=secret')
    expect(refused.status).toBe(403)
    expect(JSON.parse(refused.body)).toMatchObject({
      code: 'forbidden',
      detail: 'The group "secret" cannot be joined.',
    })
    const socket = await open('websocket', '/ruled?group=secret')
    expect(await within('the end', socket.ended)).toMatchObject({ code: 4503 })
    expect(hub.groups()).toEqual([])
    expect(errors).toEqual([])
  })

  test.each(['', ' ', 'a b', 'a\nb', 'é', 'x'.repeat(256)])(
    'the group name %j is the client’s fault',
    async (name) => {
      const { open, errors } = await startTestHub()
      const refused = await open('sse', `/events?group=${encodeURIComponent(name)}`)
      expect(refused.status).toBe(400)
      expect(JSON.parse(refused.body)).toMatchObject({ code: 'invalid-name' })
      expect(errors).toEqual([])
    },
  )

  test.each([
    [{ rules: [{ match: 'a b' }] }, '"a b" is not a pattern'],
    [{ rules: [{ match: 'a', join: 'friends' }] }, 'The rule for "a" has join: "friends"'],
    [{ groups: ['a b'] }, '"a b" is not a group name'],
  ])('refuses the options %j', (options, text) => {
    expect(() => groupsConsumer(options as never)).toThrow(text)
  })
})
