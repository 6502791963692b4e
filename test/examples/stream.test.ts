import { request } from 'node:http'
import type { Page } from 'playwright-core'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { start } from '../../examples/stream/server.js'
import { openClient } from '../support/clients.ts'
import { until, within } from '../support/until.ts'
import { listen, startExample } from './example.ts'
import { expectReadable, openPages, testInBrowser } from './pages.ts'

/** A model that says the next word when the test says so. */
class SlowModel {
  readonly questions: string[] = []
  #say: (word: string | Error | null) => void = () => {}

  readonly answer = async function* (this: SlowModel, question: string): AsyncGenerator<string> {
    this.questions.push(question)
    for (;;) {
      const word = await new Promise<string | Error | null>((resolve) => {
        this.#say = resolve
      })
      if (word instanceof Error) throw word
      if (word === null) return
      yield word
    }
  }.bind(this)

  /** `null` ends the answer, an error lets it fail. */
  say(word: string | Error | null): void {
    this.#say(word)
  }
}

const startWith = (model: SlowModel) => startExample(({ port }) => start({ port, model: model.answer }))

/** What was asked before a pane listens is not heard there. */
async function listening(page: Page): Promise<void> {
  await expect.poll(() => page.locator('section[data-open]').count()).toBe(2)
}

function ask(url: string, question: string): Promise<Response> {
  return fetch(`${url}/ask?${new URLSearchParams({ question })}`, { method: 'POST' })
}

describe('the endless list', () => {
  test('goes on for as long as it is read, and is returned when the reader leaves', async () => {
    let pulls = 0
    let isReturned = false
    function* list() {
      try {
        for (;;) yield ++pulls
      } finally {
        isReturned = true
      }
    }
    const { url } = await startExample(({ port }) => start({ port, list }))
    const reading = request(`${url}/primes`, { agent: false })
    reading.on('error', () => {})
    let size = 0
    reading.on('response', (response) => {
      expect(response.headers['content-type']).toBe('application/x-ndjson')
      response.on('data', (chunk: Buffer) => {
        size += chunk.length
      })
      response.on('error', () => {})
    })
    reading.end()
    await until('a megabyte was read', () => size > 1_000_000)
    reading.destroy()
    await until('it was returned', () => isReturned)
  })

  test('is the primes', async () => {
    const { url } = await startExample(start)
    const body = (await fetch(`${url}/primes`)).body as ReadableStream<Uint8Array>
    let text = ''
    for await (const chunk of body) {
      text += Buffer.from(chunk)
      if (text.split('\n').length > 10) break
    }
    expect(text.split('\n').slice(0, 10).map(Number)).toEqual([2, 3, 5, 7, 11, 13, 17, 19, 23, 29])
  })
})

test('an answer reaches WebSocket and SSE clients word by word', async () => {
  const model = new SlowModel()
  const { url } = await startWith(model)
  const { texts } = await listen(`${url}/events`)
  const { messages } = await openClient('websocket', `${url}/events`)
  expect((await ask(url, 'Why?')).status).toBe(202)
  const heard = (count: number) =>
    until(`both have ${count} messages`, () => texts.length === count && messages.length === count)
  await heard(1)
  const { stream, ...question } = JSON.parse(texts[0] ?? '')
  expect(question).toEqual({ type: 'model.question', text: 'Why?' })

  await until('the model thinks', () => model.questions.length === 1)
  model.say('Because')
  await heard(2)
  model.say(' of that.')
  await heard(3)
  model.say(null)
  await heard(4)
  const token = { type: 'model.token', stream }
  expect(texts.slice(1).map((text) => JSON.parse(text))).toEqual([
    { ...token, index: 0, data: 'Because' },
    { ...token, index: 1, data: ' of that.' },
    { ...token, index: 2, end: true },
  ])
  expect(messages).toEqual(texts)
})

test('a model that fails ends its answer with an error, and the server goes on', async () => {
  const logged = vi.spyOn(console, 'error').mockImplementation(() => {})
  onTestFinished(() => logged.mockRestore())
  const model = new SlowModel()
  const { url } = await startWith(model)
  const { texts } = await listen(`${url}/events`)
  await ask(url, 'Why?')
  await until('the model thinks', () => model.questions.length === 1)
  model.say(new Error('out of tokens: key sk-1234'))
  await until('the error is there', () => texts.length === 2)
  expect(JSON.parse(texts[1] ?? '')).toMatchObject({ index: 0, error: { code: 'stream-failed' } })
  expect(texts[1]).not.toContain('sk-1234')
  expect(logged).toHaveBeenCalledOnce()
  await ask(url, 'And now?')
  await until('the model thinks again', () => model.questions.length === 2)
})

test('closing waits for no answer', async () => {
  const logged = vi.spyOn(console, 'error').mockImplementation(() => {})
  onTestFinished(() => logged.mockRestore())
  const model = new SlowModel()
  const { url, close } = await startWith(model)
  await ask(url, 'Why?')
  await until('the model thinks', () => model.questions.length === 1)
  await within('the end', close())
  expect(logged).not.toHaveBeenCalled()
})

describe('the page', () => {
  testInBrowser('shows the answer word by word in both panes, as text', async () => {
    const model = new SlowModel()
    const { url } = await startWith(model)
    const [page] = await openPages(url, 1)
    await listening(page)
    const answers = page.locator('article p')
    await page.getByLabel('Question').fill('<b>Why?</b>')
    await page.getByRole('button', { name: 'Ask' }).click()
    await until('the model thinks', () => model.questions.length === 1)
    await expect
      .poll(() => page.getByRole('heading', { level: 3 }).allTextContents())
      .toEqual(['<b>Why?</b>', '<b>Why?</b>'])
    await expect.poll(() => page.getByLabel('Question').inputValue()).toBe('')
    model.say('Because ')
    await expect.poll(() => answers.allTextContents()).toEqual(['Because ', 'Because '])
    model.say('<img src=x onerror=alert(1)>')
    await expect.poll(() => answers.last().textContent()).toBe('Because <img src=x onerror=alert(1)>')
    expect(await page.locator('article[aria-busy=true]').count()).toBe(2)
    model.say(null)
    await expect.poll(() => page.locator('article[aria-busy=true]').count()).toBe(0)
    expect(await page.locator('article :is(b, img)').count()).toBe(0)
  })

  testInBrowser('says that an answer failed', async () => {
    const logged = vi.spyOn(console, 'error').mockImplementation(() => {})
    onTestFinished(() => logged.mockRestore())
    const model = new SlowModel()
    const { url } = await startWith(model)
    const [page] = await openPages(url, 1)
    await listening(page)
    await page.getByLabel('Question').fill('Why?')
    await page.getByLabel('Question').press('Enter')
    await until('the model thinks', () => model.questions.length === 1)
    model.say(new Error('out of tokens'))
    await page.getByText('The stream failed: what came before is not the whole.').nth(1).waitFor()
  })

  testInBrowser.for(['light', 'dark'] as const)('can be read in %s colours', async (colorScheme) => {
    const model = new SlowModel()
    const { url } = await startWith(model)
    const [page] = await openPages(url, 1, { colorScheme })
    await listening(page)
    await ask(url, 'Why?')
    await until('the model thinks', () => model.questions.length === 1)
    model.say('Because')
    await page.getByText('Because').nth(1).waitFor()
    await expectReadable(page)
  })
})
