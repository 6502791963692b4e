/** Where a load connects from: one address has ports for some 28,000 connections to one hub. */
import { InvalidArgumentError } from 'commander'
import { expect, onTestFinished, test } from 'vitest'
import { WebSocketServer } from 'ws'
import { collectAddresses } from '../../src/cli/local-addresses.ts'
import { Fleet, loopbackAddresses } from '../../src/load/fleet.ts'

test.each([
  ['10.0.0.5', ['10.0.0.5']],
  ['::1', ['::1']],
  ['10.0.0.16/30', ['10.0.0.17', '10.0.0.18']],
  // Not the first of its network.
  ['10.0.0.18/30', ['10.0.0.17', '10.0.0.18']],
  ['10.0.0.16/31', ['10.0.0.16', '10.0.0.17']],
  ['10.0.0.16/32', ['10.0.0.16']],
  ['255.255.255.252/30', ['255.255.255.253', '255.255.255.254']],
])('%s', (text, addresses) => {
  expect(collectAddresses(text)).toEqual(addresses)
})

test('given several times, each is taken once', () => {
  const given = ['10.0.0.17', '10.1.0.1', '10.0.0.16/30'].reduce(
    (before: readonly string[], text) => collectAddresses(text, before),
    [],
  )
  expect(given).toEqual(['10.0.0.17', '10.1.0.1', '10.0.0.18'])
  expect(collectAddresses('10.0.0.0/22')).toHaveLength(1022)
})

test.each([
  '',
  'localhost',
  '10.0.0',
  '10.0.0.256',
  '10.0.0.0/21',
  '10.0.0.0/33',
  '10.0.0.0/',
  '::1/64',
  '10.0.0.0/8/8',
])('refuses %j', (text) => {
  expect(() => collectAddresses(text)).toThrow(InvalidArgumentError)
})

test('loopback has as many as clients need, and another host has what the system chooses', () => {
  expect(loopbackAddresses('127.0.0.1', 28_000)).toBeNull()
  expect(loopbackAddresses('127.0.0.1', 28_001)).toEqual(['127.0.0.1', '127.0.0.2'])
  expect(loopbackAddresses('localhost', 90_000)).toHaveLength(4)
  expect(loopbackAddresses('10.0.0.5', 90_000)).toBeNull()
})

/** Which addresses a server sees the clients of a load come from. */
async function seen(localAddresses: readonly string[], workers: number): Promise<Record<string, number>> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  const counts: Record<string, number> = {}
  server.on('connection', (_socket, { socket: { remoteAddress = '' } }) => {
    counts[remoteAddress] = (counts[remoteAddress] ?? 0) + 1
  })
  onTestFinished(() => server.close())
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as { port: number }
  const fleet = new Fleet({
    ...{ url: `http://127.0.0.1:${port}`, transport: 'websocket', path: '/', groups: ['a'] },
    ...{ clients: 6, concurrency: 2, workers, localAddresses },
  })
  await fleet.connect()
  await fleet.leave()
  return counts
}

test('clients come from the given addresses in turns', async () => {
  expect(await seen(['127.0.0.2', '127.0.0.3', '127.0.0.4'], 0)).toEqual({
    '127.0.0.2': 2,
    '127.0.0.3': 2,
    '127.0.0.4': 2,
  })
})
