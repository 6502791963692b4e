/** Publishing a stream of lines: how fast, how much at once, and what happens when somebody does not keep up. */
import { once } from 'node:events'
import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import type { TestServer } from '../support/servers.ts'
import { until } from '../support/until.ts'
import { startTestApi } from './api-server.ts'
import { Lines, line, NDJSON, sentTexts } from './lines.ts'

/** More than the buffers hold between a client and the results that it does not read. */
const TOO_MUCH_BYTES = 60 * 1024 * 1024

test('all lines of a chunk reach the hub in one turn', async () => {
  const lines = new Lines()
  const { hub } = lines
  const chunk = Buffer.from(Array.from({ length: 3000 }, (_, i) => line(String(i))).join('\n'))
  await lines.publish([chunk])
  expect(hub.sent).toHaveLength(3000)
  expect(new Set(hub.sent.map(({ turn }) => turn)).size).toBe(1)
})

test('bad lines, which cost the most and weigh the least, leave room for others between them', async () => {
  const lines = new Lines()
  let turns = 0
  const count = () => {
    turns++
    turning = setImmediate(count)
  }
  let turning = setImmediate(count)
  const results = await lines.publish([Buffer.from('1\n'.repeat(10_000))])
  clearImmediate(turning)
  expect(results).toHaveLength(10_000)
  expect(turns).toBeGreaterThanOrEqual(30)
})

test('no more than a bounded number of sends wait for the layer', async () => {
  const lines = new Lines()
  const { hub } = lines
  let open = () => {}
  hub.gate = new Promise((resolve) => {
    open = resolve
  })
  const chunk = Buffer.from(Array.from({ length: 5000 }, () => line('x')).join('\n'))
  const results = lines.publish([chunk])
  await until('the window is full', () => hub.inFlight === 1024)
  open()
  expect(await results).toHaveLength(5000)
  expect(hub.mostInFlight).toBe(1024)
})

test('results come while the body is still being sent', async () => {
  const { port, hub } = await startTestApi()
  const { request, response } = await startStream(port, `${line('1')}\n${line('2')}\n`)
  expect(String((await once(response, 'data'))[0])).toBe(
    '{"results":[{"line":1,"group":"a","cursor":null},{"line":2,"group":"a","cursor":null}',
  )
  expect(hub.sent).toHaveLength(2)
  request.end(line('3'))
  expect(await restOf(response)).toBe(',{"line":3,"group":"a","cursor":null}]}')
})

// Symptom: over uWebSockets.js six million lines were read from a client that took no results, and not all sent on: what counts is what the
// system takes of the client.
test('who does not read the results is not read from', { timeout: 60_000 }, async () => {
  const { port, hub } = await startTestApi()
  const client = connect(port, '127.0.0.1')
  onTestFinished(() => void client.destroy())
  client.pause()
  client.write(
    'POST /api/publish HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n',
  )
  const lines = Buffer.from(`${line('x')}\n`.repeat(1_000))
  const chunk = Buffer.concat([Buffer.from(`${lines.length.toString(16)}\r\n`), lines, Buffer.from('\r\n')])
  let most = Math.ceil(TOO_MUCH_BYTES / chunk.length)
  let begun = 0
  let accepted = 0
  const send = (): void => {
    begun++
    client.write(chunk, (error) => {
      if (error) return
      accepted++
      if (begun < most) send()
    })
  }
  send()
  await until(
    'nothing moves',
    stands(() => accepted + hub.sent.length),
  )
  expect(accepted).toBeLessThan(most)
  // What is under way is answered when the results are read.
  most = begun
  let end = ''
  client.on('data', (bytes) => {
    end = (end + bytes.toString('latin1')).slice(-100)
  })
  client.resume()
  await until('the rest is read', () => accepted === most)
  client.write('0\r\n\r\n')
  // On uWebSockets.js with the trailer of an answer that is the last of its connection.
  await until('all is answered', () => /\]\}\r\n0\r\n(?:Groupcast-End: true\r\n)?\r\n$/.test(end))
  expect(hub.sent).toHaveLength(1_000 * most)
  expect(end).toContain(`{"line":${1_000 * most},`)
})

test('a client that leaves ends the work, and is nobody’s failure', async () => {
  const { port, hub, errors, server } = await startTestApi()
  const { request, response } = await startStream(port, `${line('1')}\n{"groups":["a"],`)
  response.on('error', () => {})
  request.on('error', () => {})
  request.destroy()
  await until('the connection is gone', isIdle(server))
  expect(sentTexts(hub)).toEqual(['1'])
  expect(errors).toEqual([])
})

test('a client that leaves while the layer is slow', async () => {
  const { port, hub, errors, server } = await startTestApi()
  let open = () => {}
  hub.gate = new Promise((resolve) => {
    open = resolve
  })
  const request = openStream(port)
  request.on('error', () => {})
  request.write(`${line('1')}\n`)
  await until('the line is there', () => hub.inFlight === 1)
  request.destroy()
  if (server.node !== null) await until('the connection is gone', isIdle(server))
  open()
  await until('the send is over', () => hub.inFlight === 0)
  await until('so is the request', isIdle(server))
  expect(errors).toEqual([])
})

function openStream(port: number): ClientRequest {
  return httpRequest({
    host: '127.0.0.1',
    port,
    method: 'POST',
    path: '/api/publish',
    headers: NDJSON,
    agent: false,
  })
}

/** A stream whose first lines are sent, and the response to it, not yet read. */
async function startStream(
  port: number,
  first: string,
): Promise<{ readonly request: ClientRequest; readonly response: IncomingMessage }> {
  const request = openStream(port)
  request.write(first)
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  return { request, response }
}

async function restOf(response: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of response.setEncoding('utf8')) text += chunk
  return text
}

/** Whether nobody is served. */
function isIdle(server: TestServer): () => boolean {
  let count = -1
  return () => {
    void server.busy().then((busy) => {
      count = busy
    })
    return count === 0
  }
}

/** Whether a number has stayed the same for a while. */
function stands(read: () => number): () => boolean {
  let last = Number.NaN
  let times = 0
  return () => {
    times = read() === last ? times + 1 : 0
    last = read()
    return times > 50
  }
}
