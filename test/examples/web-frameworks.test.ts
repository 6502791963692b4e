/** The hub beside an application: one script for Express and Fastify, whose examples do the same. */
import { describe, expect, test } from 'vitest'
import { start as startExpress } from '../../examples/express/server.js'
import { start as startFastify } from '../../examples/fastify/server.js'
import { openClient } from '../support/clients.ts'
import { until, within } from '../support/until.ts'
import { listen, startExample } from './example.ts'

const FRAMEWORKS = [
  {
    name: 'Express',
    start: startExpress,
    notFound: { type: 'text/html; charset=utf-8', body: /Cannot GET \/nowhere/ },
  },
  {
    name: 'Fastify',
    start: startFastify,
    notFound: { type: 'application/json; charset=utf-8', body: /Route GET:\/nowhere not found/ },
  },
] as const

describe.each(FRAMEWORKS)('$name', ({ start, notFound }) => {
  test('a route sends to the group what the application was told', async () => {
    const { url } = await startExample(start)
    const { texts } = await listen(`${url}/events?group=sensors`)
    const webSocket = await openClient('websocket', `${url}/events/?group=sensors`)

    const response = await put(`${url}/sensors/kitchen`, '{"celsius":21.5}')
    expect(response.status).toBe(200)
    expect(await response.json()).toEqual({ name: 'kitchen', celsius: 21.5 })
    for (const heard of [texts, webSocket.messages]) {
      await until('the reading has come', () => heard.length === 1)
      expect(heard).toEqual(['{"type":"sensor.reading","name":"kitchen","celsius":21.5}'])
    }
  })

  test('the application keeps its routes, its body parser and its 404', async () => {
    const { url } = await startExample(start)
    expect(await (await fetch(`${url}/sensors`)).json()).toEqual([])
    await put(`${url}/sensors/__proto__`, '{"celsius":1}')
    expect(await (await fetch(`${url}/sensors`)).json()).toEqual([{ name: '__proto__', celsius: 1 }])
    expect((await put(`${url}/sensors/kitchen`, '{"celsius":"hot"}')).status).toBe(400)
    expect((await put(`${url}/sensors/kitchen`, '{"celsius":')).status).toBe(400)
    expect((await put(`${url}/sensors/kitchen`)).status).toBe(400)
    const nowhere = await fetch(`${url}/nowhere`)
    expect(nowhere.status).toBe(404)
    expect(nowhere.headers.get('content-type')).toBe(notFound.type)
    expect(await nowhere.text()).toMatch(notFound.body)
    // What starts like the hub's URL is not the hub's.
    expect((await fetch(`${url}/eventsource`)).headers.get('content-type')).toBe(notFound.type)
  })

  test('clients join the group that the rules list, and no other', async () => {
    const { url } = await startExample(start)
    const refused = await openClient('sse', `${url}/events?group=sensors&group=secret`)
    expect(refused.status).toBe(403)
    expect(JSON.parse(refused.body)).toMatchObject({ code: 'forbidden' })
  })

  test('closing does not wait for open streams or idle connections', async () => {
    const { url, close } = await startExample(start)
    const listener = await listen(`${url}/events?group=sensors`)
    const webSocket = await openClient('websocket', `${url}/events?group=sensors`)
    await fetch(`${url}/sensors`)
    await within('the end', close())
    await within('the end of the stream', listener.lost)
    expect(await within('the goodbye', webSocket.ended)).toMatchObject({ code: 1012 })
    await expect(fetch(`${url}/sensors`)).rejects.toThrow()
  })
})

function put(url: string, json?: string): Promise<Response> {
  if (json === undefined) return fetch(url, { method: 'PUT' })
  return fetch(url, { method: 'PUT', headers: { 'Content-Type': 'application/json' }, body: json })
}
