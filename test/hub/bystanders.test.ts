/** What a message costs must not grow with connections and groups that it does not go to. */
import { Session } from 'node:inspector/promises'
import { expect, onTestFinished, test } from 'vitest'
import { createHub } from '../../src/create-hub.ts'
import { groupsConsumer } from '../../src/groups-consumer.ts'
import { fakeBackend, settled } from '../support/fake-backend.ts'

const MEMBERS = 5

/** How often functions and blocks of the source were entered meanwhile: a count of work that no busy machine changes. */
async function workOf(session: Session, act: () => Promise<void>): Promise<number> {
  await session.post('Profiler.takePreciseCoverage')
  await act()
  const { result } = await session.post('Profiler.takePreciseCoverage')
  return result
    .filter(({ url }) => url.includes('/src/'))
    .flatMap(({ functions }) => functions.flatMap(({ ranges }) => ranges))
    .reduce((sum, { count }) => sum + count, 0)
}

/** Work of some publishing in a hub that has so many other connections, each in three groups of its own. */
async function publishing(session: Session, others: number): Promise<number> {
  const { backend, connect } = fakeBackend()
  const hub = createHub({ backend, groups: [{ match: 'kept', history: {} }] })
  onTestFinished(() => hub.close())
  hub.consumer('/events', groupsConsumer())
  hub.attach({})
  const links = []
  for (let i = 0; i < MEMBERS; i++) links.push(await connect('/events?group=a&group=kept'))
  for (let i = 0; i < others; i++)
    await connect(`/events?group=other${i}&group=more${i}&group=others${i % 10}`)
  const publish = async (n: number) => {
    await hub.groupSend('a', { type: 'n', n })
    await hub.groupSend('kept', { type: 'n', n })
    await settled()
  }
  // What is made when it is first needed.
  await publish(0)
  const work = await workOf(session, async () => {
    for (let n = 1; n <= 10; n++) await publish(n)
  })
  for (const link of links)
    expect(link.envelopes.filter(({ message }) => message !== undefined)).toHaveLength(22)
  return work
}

test('publishing does as much beside three hundred other connections in hundreds of groups as alone', async () => {
  const session = new Session()
  session.connect()
  onTestFinished(() => session.disconnect())
  await session.post('Profiler.enable')
  await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true })
  // The first hub of a process makes what all share.
  await publishing(session, 1)
  const alone = await publishing(session, 0)
  expect(alone).toBeGreaterThan(1_000)
  // Which blocks V8 tells apart differs a little between runs; a look at each of the others would be thousands.
  expect(await publishing(session, 300)).toBeLessThan(alone * 1.1)
})
