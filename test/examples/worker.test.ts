import { expect, onTestFinished, test, vi } from 'vitest'
import { start } from '../../examples/worker/server.js'
import { openClient } from '../support/clients.ts'
import { until, within } from '../support/until.ts'
import { listen, startExample } from './example.ts'

/** For what only a request can tell. */
const PATIENCE = { timeout: 10_000, interval: 10 }

/** Work that goes on when the test says so. */
class Desk {
  /** The images of the jobs that were begun, in order. */
  readonly begun: string[] = []
  readonly #done: ((error?: Error) => void)[] = []

  readonly render = async function* (this: Desk, image: string): AsyncGenerator<number> {
    this.begun.push(image)
    yield 50
    await new Promise<void>((resolve, reject) => {
      this.#done.push((error) => (error === undefined ? resolve() : reject(error)))
    })
    yield 100
  }.bind(this)

  /** Ends the first job of those that were begun, or lets it fail. */
  async finish(error?: Error): Promise<void> {
    await until('a job is at its half', () => this.#done.length > 0)
    this.#done.shift()?.(error)
  }
}

function startWith(desk: Desk) {
  return startExample(({ port }) => start({ port, render: desk.render }))
}

function ask(url: string, image: string, connection: string): Promise<Response> {
  const headers = { 'Groupcast-Connection': connection }
  return fetch(`${url}/thumbnails?image=${image}`, { method: 'POST', headers })
}

const progress = (image: string, percent: number) =>
  JSON.stringify({ type: 'thumbnail.progress', image, percent })

test('the answer goes to the client that asked, the progress to all', async () => {
  const desk = new Desk()
  const { url } = await startWith(desk)
  const asking = await listen(`${url}/events`)
  const watching = await openClient('websocket', `${url}/events`)
  await until('both were greeted', () => asking.texts.length === 1 && watching.messages.length === 1)
  expect(JSON.parse(asking.texts[0] ?? '')).toEqual({ type: 'hello', connection: asking.id })

  expect((await ask(url, 'cat.png', asking.id)).status).toBe(202)
  await until('the half is reported', () => watching.messages.length === 2)
  await desk.finish()
  await until('the answer has come', () => asking.texts.length === 4)
  expect(asking.texts.slice(1)).toEqual([
    progress('cat.png', 50),
    progress('cat.png', 100),
    '{"type":"thumbnail.done","image":"cat.png"}',
  ])

  // A WebSocket has its id from the greeting. Its answer comes after everything the other one may have got by mistake.
  const { connection } = JSON.parse(watching.messages[0] ?? '')
  expect((await ask(url, 'dog.png', connection)).status).toBe(202)
  await desk.finish()
  await until('the answer has come', () => watching.messages.length === 6)
  expect(watching.messages.slice(1)).toEqual([
    progress('cat.png', 50),
    progress('cat.png', 100),
    progress('dog.png', 50),
    progress('dog.png', 100),
    '{"type":"thumbnail.done","image":"dog.png"}',
  ])
})

test('when ten jobs wait, the next is refused with 503 and can be asked for again', async () => {
  const desk = new Desk()
  const { url } = await startWith(desk)
  const { id, texts } = await listen(`${url}/events`)
  await ask(url, '0.png', id)
  await until('the worker is busy', () => desk.begun.length === 1)
  for (let n = 1; n <= 10; n++) expect((await ask(url, `${n}.png`, id)).status).toBe(202)

  const refused = await ask(url, '11.png', id)
  expect(refused.status).toBe(503)
  expect(refused.headers.get('retry-after')).toBe('1')

  await desk.finish()
  await until('the worker took one', () => desk.begun.length === 2)
  expect((await ask(url, '11.png', id)).status).toBe(202)
  for (let n = 1; n <= 11; n++) await desk.finish()
  const done = () => texts.filter((text) => text.includes('done')).map((text) => JSON.parse(text).image)
  await until('all are done', () => done().length === 12)
  expect(done()).toEqual(Array.from({ length: 12 }, (_, n) => `${n}.png`))
})

test('a job that fails is answered, and the worker goes on', async () => {
  const logged = vi.spyOn(console, 'error').mockImplementation(() => {})
  onTestFinished(() => logged.mockRestore())
  const desk = new Desk()
  const { url } = await startWith(desk)
  const { id, texts } = await listen(`${url}/events`)
  await ask(url, 'broken.png', id)
  await ask(url, 'cat.png', id)
  await desk.finish(new Error('not an image'))
  await desk.finish()
  await until('both are answered', () => texts.some((text) => text.includes('done')))
  expect(texts.slice(1)).toEqual([
    progress('broken.png', 50),
    '{"type":"thumbnail.failed","image":"broken.png"}',
    progress('cat.png', 50),
    progress('cat.png', 100),
    '{"type":"thumbnail.done","image":"cat.png"}',
  ])
  expect(logged.mock.calls).toEqual([['broken.png:', new Error('not an image')]])
})

test('who names no connection, or one that has ended, is not taken', async () => {
  const { url } = await startExample(({ port }) => start({ port, render: async function* () {} }))
  const client = await openClient('sse', `${url}/events`)
  await until('the client was greeted', () => client.messages.length === 1)
  const id = client.id ?? ''
  expect((await fetch(`${url}/thumbnails?image=a.png`, { method: 'POST' })).status).toBe(400)
  expect(
    (await fetch(`${url}/thumbnails`, { method: 'POST', headers: { 'Groupcast-Connection': id } })).status,
  ).toBe(400)
  expect((await ask(url, 'a.png', 'constructor')).status).toBe(400)
  expect((await fetch(`${url}/thumbnails`)).status).toBe(404)
  client.close()
  await vi.waitUntil(async () => (await ask(url, 'late.png', id)).status === 400, PATIENCE)
})

test('closing waits for the job at hand and its answer, and takes no other', async () => {
  const desk = new Desk()
  const { url, close } = await startWith(desk)
  const { id, texts, lost } = await listen(`${url}/events`)
  await ask(url, 'cat.png', id)
  await ask(url, 'never.png', id)
  await until('the job has begun', () => desk.begun.length === 1)
  const closed = close()
  await desk.finish()
  await within('the end', closed)
  await within('the end of the stream', lost)
  expect(texts.at(-1)).toBe('{"type":"thumbnail.done","image":"cat.png"}')
  expect(desk.begun).toEqual(['cat.png'])
})
