// @ts-check
// What a generator yields goes out piece by piece: an endless list to whoever asks for it, and the answer of a language model (a
// pretended one) to everybody who has the page open, word by word, whatever they came by.
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createHub, groupsConsumer, streamResponse } from 'groupcast'

/**
 * @typedef {{
 *   'model.question': { stream: string, text: string }
 *   'model.token': import('groupcast').StreamFields<string>
 * }} Messages the fields of each message, by its type
 *
 * @typedef {(question: string) => AsyncIterable<string>} Model yields its answer in pieces, as the clients of real ones do
 */

/** @param {{ port: number, list?: () => Iterable<number>, model?: Model }} options the port of 127.0.0.1 to listen on (0 takes a free one), and what is streamed */
export async function start({ port, list = primes, model = pretendToThink }) {
  /** @type {import('groupcast').Hub<Messages>} */
  const hub = createHub()
  // Everybody who connects hears every answer.
  hub.consumer('/events', groupsConsumer({ groups: ['answers'] }))

  /** @param {string} question */
  async function answer(question) {
    const stream = randomUUID()
    await hub.groupSend('answers', { type: 'model.question', stream, text: question })
    await hub.groupStream('answers', model(question), { type: 'model.token', id: stream })
  }

  const page = await readFile(new URL('index.html', import.meta.url))
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost')
    if (pathname === '/primes') {
      // Pulled as fast as the client reads, and no further; returned when it leaves.
      streamResponse(response, list(), { format: 'ndjson' })
    } else if (request.method === 'POST' && pathname === '/ask') {
      response.writeHead(202).end()
      answer(searchParams.get('question') ?? '').catch((error) => {
        // The pages know already: an error message ended the stream.
        if (!hub.status.draining) console.error('No answer:', error)
      })
    } else if (pathname === '/') {
      response.setHeader('Content-Type', 'text/html; charset=utf-8').end(page)
    } else {
      response.writeHead(404).end()
    }
  })
  hub.attach(server)

  await once(server.listen(port, '127.0.0.1'), 'listening')
  const address = /** @type {import('node:net').AddressInfo} */ (server.address())
  return {
    url: `http://127.0.0.1:${address.port}`,
    async close() {
      // Ends the answers under way and tells every client to come back later.
      await hub.close()
      server.close()
      // Lists have no end to wait for: they are cut off here.
      server.closeAllConnections()
    },
  }
}

/** Never ends: whoever reads it decides how far it goes. */
function* primes() {
  /** @type {number[]} */
  const found = []
  for (let n = 2; ; n++) {
    if (found.some((prime) => n % prime === 0)) continue
    found.push(n)
    yield n
  }
}

/** @type {Model} */
async function* pretendToThink(question) {
  const text = `“${question}” is a good question. It takes a model a while to say so: one word after another, and every one of them
    is a message of its own.`
  for (const word of text.split(/\s+/)) {
    await setTimeout(100)
    yield `${word} `
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { url, close } = await start({ port: Number(process.env.PORT ?? 8000) })
  console.log(`Open ${url} and ask something, or run: curl -sN ${url}/primes | head -1000`)
  process.once('SIGINT', close).once('SIGTERM', close)
}
