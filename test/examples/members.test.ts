import { connect } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { start } from '../../examples/members/server.js'
import { CLIENT_KINDS, type ClientKind, openClient } from '../support/clients.ts'
import { until, within } from '../support/until.ts'
import { startExample } from './example.ts'
import { openPages, testInBrowser } from './pages.ts'

const post = (url: string, form: Record<string, string>, cookie = '') =>
  fetch(url, { method: 'POST', body: new URLSearchParams(form), headers: { cookie }, redirect: 'manual' })

async function login(url: string, name: string): Promise<string> {
  const answer = await post(`${url}/login`, { name, password: 'open sesame' })
  expect(answer.status).toBe(303)
  return (answer.headers.get('set-cookie') ?? '').split(';')[0] ?? ''
}

async function enter(kind: ClientKind, url: string, cookie: string) {
  const client = await openClient(kind, `${url}/members`, { headers: { cookie } })
  onTestFinished(() => client.close())
  return client
}

describe.each(CLIENT_KINDS)('over %s', (kind) => {
  test('who is removed stops receiving at once, on all tabs, and cannot come back', async () => {
    const { url } = await startExample(start)
    const cookies = { ann: await login(url, 'ann'), bob: await login(url, 'bob') }
    const ann = await enter('websocket', url, cookies.ann)
    const tabs = [await enter(kind, url, cookies.bob), await enter('ndjson', url, cookies.bob)]
    await ann.send({ type: 'say', text: 'hi' })
    for (const tab of tabs) await until('bob heard it', () => tab.messages.length === 1)
    expect((await post(`${url}/remove`, { name: 'bob' }, cookies.ann)).status).toBe(303)
    await ann.send({ type: 'say', text: 'he is gone' })
    for (const tab of tabs) expect((await within('its end', tab.ended)).code).toBe(4508)
    await until('ann heard herself', () => ann.messages.length === 2)
    for (const tab of tabs) expect(tab.messages).toEqual(['{"type":"said","name":"ann","text":"hi"}'])
    const again = await enter(kind, url, cookies.bob)
    if (kind.startsWith('websocket')) expect((await within('its end', again.ended)).code).toBe(4501)
    else expect(again.status).toBe(401)
    // Who logs in anew is let in again: the application decides.
    const anew = await enter(kind, url, await login(url, 'bob'))
    expect(anew.status).toBe(kind.startsWith('websocket') ? 101 : 200)
  })

  test('without a cookie, or with one that is none, nobody is let in, but to the news', async () => {
    const { url } = await startExample(start)
    for (const cookie of ['', 'session=', 'session=guess', 'session=__proto__']) {
      const client = await enter(kind, url, cookie)
      if (kind.startsWith('websocket')) expect((await within('its end', client.ended)).code).toBe(4501)
      else expect(client.status).toBe(401)
    }
    expect((await post(`${url}/login`, { name: 'ann', password: 'guess' })).status).toBe(403)
    expect((await post(`${url}/remove`, { name: 'ann' })).status).toBe(403)
    const news = await openClient(kind, `${url}/news`)
    onTestFinished(() => news.close())
    await login(url, 'ann')
    await until('it is news', () => news.messages.length === 1)
  })
})

// The listener was an async function that nobody waited for: the process ended with the first form that was cut off.
test('a client that leaves in the middle of its form ends nothing but its request', async () => {
  const { url } = await startExample(start)
  const { port } = new URL(url)
  const socket = connect(Number(port), '127.0.0.1')
  socket.write('POST /login HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nn')
  const other = await fetch(url)
  expect(other.status).toBe(200)
  socket.resetAndDestroy()
  await login(url, 'ann')
})

testInBrowser('the page logs in by its form, and tells who was removed', async () => {
  const { url } = await startExample(start)
  const [ann, bob] = await openPages(url, 2)
  for (const [page, name] of [
    [ann, 'ann'],
    [bob, 'bob'],
  ] as const) {
    await page.getByLabel('Name').fill(name)
    await page.getByLabel('Password').fill('open sesame')
    await page.getByRole('button', { name: 'Log in' }).click()
    await page.getByText('You are in.').waitFor()
  }
  await ann.getByLabel('Say').fill('hello')
  await ann.getByRole('button', { name: 'Send' }).click()
  await bob.getByText('ann: hello').waitFor()
  await ann.getByLabel('Remove').fill('bob')
  await ann.getByRole('button', { name: 'Remove' }).click()
  await bob.getByText('You were removed.').waitFor()
})
