/** Requests of autocannon, and what they cost the server. */
import { createServer } from 'node:http'
import { expect, onTestFinished, test } from 'vitest'
import { shoot } from '../../bench/lib/shots.mjs'
import { listen, stop } from '../support/hub-server.ts'

const PINNING = { subject: [], load: [], text: 'not pinned' }

// CPU time was taken before autocannon's second of warming up, whose requests were not counted: each cost up to twice what it does.
test('an HTTP request costs what was used since the warming up', async () => {
  let requests = 0
  const server = createServer((request, response) => {
    requests++
    request.resume().on('end', () => response.end('{}'))
  })
  onTestFinished(() => stop(server))
  const url = await listen(server)
  // A millisecond each.
  const usage = async () => ({ cpuUs: requests * 1000, rssBytes: 0 })
  const faults: string[] = []
  const context = { pinning: PINNING, fault: (text: string) => void faults.push(text) }
  const shots = { url, body: '{}', connections: 2, length: { amount: 200 } }
  const { cpuUsEach, generatorBusy, perSecond } = await shoot(context, { usage }, shots)
  expect(requests).toBeGreaterThanOrEqual(400)
  expect(cpuUsEach).toBeGreaterThanOrEqual(990)
  expect(cpuUsEach).toBeLessThan(1_100)
  expect(generatorBusy).toBeGreaterThan(0)
  expect(perSecond).toBeGreaterThan(0)
  expect(faults).toEqual([])
})
