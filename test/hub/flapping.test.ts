/** A group that loses its last member while another comes. */
import { expect, test } from 'vitest'
import { createHub } from '../../src/create-hub.ts'
import { groupsConsumer } from '../../src/groups-consumer.ts'
import { fakeBackend, settled } from '../support/fake-backend.ts'

// Symptom: a client was in a group and got nothing. The hub had just told the layer that the group was empty, and was a microtask away from
// noting that it was done: who joined at that moment waited for this, and nobody told the layer again.
test('whoever joins at any moment of the group’s end gets what is sent', async () => {
  const { backend, connect } = fakeBackend()
  const hub = createHub({ backend })
  hub.consumer('/events', groupsConsumer())
  hub.attach({})
  for (let microtasks = 0; microtasks < 30; microtasks++) {
    const group = `g${microtasks}`
    const [staying, leaving] = [await connect('/events'), await connect(`/events?group=${group}`)]
    leaving.cut()
    for (let i = 0; i < microtasks; i++) await null
    staying.say({ join: group, reply: 1 })
    await settled()
    await hub.groupSend(group, { type: 'n', n: microtasks })
    await settled()
    expect(staying.envelopes.at(-1)?.message, `after ${microtasks} microtasks`).toEqual({
      type: 'n',
      n: microtasks,
    })
  }
})
