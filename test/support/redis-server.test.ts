/** The servers that tests of drivers lean on. */
import { expect, onTestFinished, test } from 'vitest'
import { startCluster, startRedis, startSentinels } from './redis-server.ts'

test('a server is there, goes, and comes back with what it keeps', async () => {
  const kept = await startRedis({ persistence: 'aof' })
  const forgetful = await startRedis()
  for (const server of [kept, forgetful]) {
    onTestFinished(() => server.stop())
    await server.command('SET', 'a', '1')
    await server.kill()
    await expect(server.command('PING')).rejects.toThrow('refused')
    await server.start()
  }
  expect(await kept.command('GET', 'a')).toBe('1')
  expect(await forgetful.command('GET', 'a')).toBe('')
  await expect(kept.command('INCR')).rejects.toThrow()
})

test('Sentinels make the replica the primary when that is gone', async () => {
  const set = await startSentinels()
  onTestFinished(() => set.stop())
  const [primary, replica] = set.servers
  expect(await set.primaryPort()).toBe(primary.port)
  await primary.kill()
  await replica.until('it is the primary', async () => (await replica.command('ROLE')).startsWith('master'))
  await replica.until('they say so', async () => (await set.primaryPort()) === replica.port)
})

test('the nodes of a Cluster serve a part of the slots each', async () => {
  const cluster = await startCluster()
  onTestFinished(() => cluster.stop())
  const answers = await Promise.all(
    cluster.nodes.map((node) => node.command('SET', 'a', '1').catch(({ stderr }) => stderr)),
  )
  expect(answers.filter((answer) => answer === 'OK')).toHaveLength(1)
})
