/** What of the HTTP API's binding is about node:http alone. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { createApi } from '../../../src/api/api.ts'
import { apiListener } from '../../../src/api/node.ts'
import { exchange } from '../../api/api-server.ts'
import { FakeHub } from '../../api/fake-hub.ts'
import { stop } from '../../support/hub-server.ts'
import { until } from '../../support/until.ts'

const PATH = '/api/groups/a/messages'

test('a body that somebody else has read already is not waited for', async () => {
  const listener = apiListener(createApi(new FakeHub(), { version: '1', onError() {} }))
  const server = createServer(async (request, response) => {
    for await (const _chunk of request);
    listener(request, response)
  })
  onTestFinished(() => stop(server))
  const port = await listen(server)
  expect((await exchange(port, 'POST', PATH, { body: { type: 'x' } })).status).toBe(400)
})

test('HTTP/2 is served by the same listener', async () => {
  const hub = new FakeHub()
  const listener = apiListener(
    createApi(hub, { version: '1', onError() {}, allowedHosts: ['127.0.0.1'], maxBodyBytes: 100 }),
  )
  const server = createHttp2Server((request, response) => {
    listener(request as never, response as never)
  })
  const port = await listen(server)
  const session = connectHttp2(`http://127.0.0.1:${port}`)
  onTestFinished(async () => {
    session.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  const post = async (body: string) => {
    const headers = { ':method': 'POST', ':path': PATH, 'content-type': 'application/json' }
    const stream = session.request({ ...headers, origin: `http://127.0.0.1:${port}` })
    stream.end(body)
    const [answer] = (await once(stream, 'response')) as [Record<string, unknown>]
    let text = ''
    for await (const chunk of stream.setEncoding('utf8')) text += chunk
    return [answer[':status'], text]
  }
  expect(await post('{"type":"x"}')).toEqual([200, '{"cursor":null}'])
  expect(await post('x'.repeat(101))).toEqual([413, expect.stringContaining('message-too-large')])
  expect(hub.sent).toHaveLength(1)
})

async function listen(server: {
  listen(port: number, host: string): unknown
  address(): unknown
}): Promise<number> {
  server.listen(0, '127.0.0.1')
  await until('the server listens', () => server.address() !== null)
  return (server.address() as AddressInfo).port
}
