/** A small storm over a hub with a journal that is killed with SIGKILL and comes back: what it acknowledged, everybody gets. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from 'groupcast/client'
import { expect, onTestFinished, test } from 'vitest'
import { HubProcess } from '../bench/lib/storm/hub-process.mjs'
import { LanePublisher } from '../bench/lib/storm/publisher.mjs'
import { between, chooseSeed, seeded } from '../bench/lib/storm/random.mjs'
import { Storm } from '../bench/lib/storm/storm.mjs'
import { until } from './support/until.ts'

const KILLS = 3
const CLIENTS = 24
/** Between two kills at least so many more messages are acknowledged. */
const MESSAGES = [100, 200] as const

test('nothing that was acknowledged is lost or doubled when the hub is killed three times', async () => {
  const seed = chooseSeed()
  console.error(`storm with kill -9: GROUPCAST_SEED=${seed}`)
  const directory = mkdtempSync(join(tmpdir(), 'groupcast-storm-'))
  const hub = await HubProcess.start({ prefix: [], count: 10_000, directory: join(directory, 'journal') })
  const storm = new Storm({
    ...{ seed, ports: [hub.port], clients: CLIENTS, groups: 10, lifeMs: [0, 600], connect },
  })
  const { ledger } = storm
  const publisher = new LanePublisher([hub.port], ledger)
  onTestFinished(async () => {
    publisher.close()
    await hub.stop()
    rmSync(directory, { recursive: true })
  })
  const random = seeded(seed)
  let isOver = false
  const published = publisher.run({ rate: 400, groups: storm.groups, random, until: () => isOver })
  await storm.begin()
  for (let kill = 0; kill < KILLS; kill++) {
    const enough = ledger.acknowledged + between(random, MESSAGES)
    // On a slow machine there is more time between two messages than a client needs to come back, and less than all of them need.
    const opens = storm.opens + CLIENTS
    await until('there is something to lose', () => ledger.acknowledged >= enough && storm.opens > opens)
    await hub.restart()
  }
  const enough = ledger.acknowledged + between(random, MESSAGES)
  await until('there are enough messages', () => ledger.acknowledged >= enough)
  isOver = true
  await published
  storm.proxy.calm()
  await until('everybody is there', () => storm.absent.length === 0)
  await publisher.finish(storm.groups)
  await until('everybody has the last messages', () => storm.incomplete.length === 0).catch(() => {})
  const complaints = storm.incomplete.map(({ complaint }) => complaint)
  const { examples, lost, doubled, outOfOrder, split, odd, resets, opens } = await storm.end()
  expect(examples).toEqual([])
  expect(complaints).toEqual([])
  expect({ lost, doubled, outOfOrder, split, odd, resets }).toEqual({
    ...{ lost: 0, doubled: 0, outOfOrder: 0, split: 0, odd: 0, resets: 0 },
  })
  // That it was killed while there was something to lose.
  expect(publisher.failures).toBeGreaterThan(0)
  expect(opens).toBeGreaterThan(CLIENTS * KILLS)
}, 60_000)
