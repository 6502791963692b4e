// @ts-check
// A login form, a cookie, and a chat for members: who is removed stops receiving at once, on every tab and every node.
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { fileURLToPath } from 'node:url'
import { createHub, Refusal } from 'groupcast'

const COOKIE = 'session'
const HOUR_MS = 3_600_000
const NAME = /^[a-z]{1,20}$/
/** What a form of this page can hold is far shorter. */
const MOST_BYTES = 10_000

/**
 * @param {{ port: number, password?: string }} options the port of 127.0.0.1 to listen on, 0 for a free one; the password of all members.
 *   A real application has one for each, and keeps it hashed
 */
export async function start({ port, password = 'open sesame' }) {
  /** Who has logged in: names and ends of sessions, by what their cookies say. */
  const sessions = /** @type {Map<string, { name: string, expiresAt: number }>} */ (new Map())

  /** @param {string | undefined} cookie */
  const sessionOf = (cookie) => {
    const session = sessions.get(cookie ?? '')
    return session !== undefined && session.expiresAt > Date.now() ? session : null
  }

  const hub = createHub({
    // Asked before any consumer, for every transport alike. `cookie` is hidden from pages of other origins.
    authenticate(request) {
      const session = sessionOf(request.cookie(COOKIE))
      if (session === null) throw new Refusal('unauthorized', 'Log in first.')
      return { id: session.name, expiresAt: session.expiresAt }
    },
  })

  hub.consumer('/members', {
    async connect(connection) {
      await connection.join('members')
    },
    async receive(connection, message) {
      // Who said it, the server knows better than the message.
      const { identity } = connection
      const text = String(message.text).slice(0, 500)
      await hub.groupSend('members', { type: 'said', name: identity?.id, text })
    },
  })

  // For everybody: this consumer asks nobody who they are.
  hub.consumer('/news', {
    authenticate: false,
    async connect(connection) {
      await connection.join('news')
    },
  })

  const forms = new Map([
    [
      '/login',
      /** @param {URLSearchParams} form */
      async (form) => {
        const name = form.get('name') ?? ''
        if (!NAME.test(name) || form.get('password') !== password) return null
        for (const [id, { expiresAt }] of sessions) if (expiresAt <= Date.now()) sessions.delete(id)
        const id = randomBytes(24).toString('base64url')
        sessions.set(id, { name, expiresAt: Date.now() + HOUR_MS })
        await hub.groupSend('news', { type: 'joined', name })
        // Scripts cannot read it, and forms of other sites do not send it. Behind TLS add `Secure`.
        return `${COOKIE}=${id}; HttpOnly; SameSite=Strict; Path=/; Max-Age=${HOUR_MS / 1000}`
      },
    ],
    [
      '/remove',
      /** @param {URLSearchParams} form */
      async (form) => {
        const name = form.get('name') ?? ''
        // First what lets them in again, then what is open: the other way round one could slip in between.
        for (const [id, session] of sessions) if (session.name === name) sessions.delete(id)
        if (NAME.test(name)) await hub.revoke(name)
        return ''
      },
    ],
  ])

  const page = await readFile(new URL('index.html', import.meta.url))
  const script = await readFile(new URL('page.js', import.meta.url))
  /** @param {import('node:http').IncomingMessage} request @param {import('node:http').ServerResponse} response */
  const answer = async (request, response) => {
    const { method, url = '/', headers } = request
    const handle = forms.get(url)
    if (method === 'POST' && handle !== undefined) {
      const cookie = /(?:^|; )session=([^;]*)/.exec(headers.cookie ?? '')?.[1]
      // Members remove members; a real application asks who may.
      const mayCall = url === '/login' || sessionOf(cookie) !== null
      const form = await readForm(request)
      const setCookie = mayCall && form !== null ? await handle(form) : null
      if (setCookie === null) response.writeHead(403).end('No.')
      else
        response.writeHead(303, { Location: '/', ...(setCookie !== '' && { 'Set-Cookie': setCookie }) }).end()
    } else if (url === '/' || url === '/page.js') {
      const type = url === '/' ? 'text/html; charset=utf-8' : 'text/javascript; charset=utf-8'
      const policy = "default-src 'self'; style-src 'unsafe-inline'; img-src data:"
      response.writeHead(200, { 'Content-Type': type, 'Content-Security-Policy': policy })
      response.end(url === '/' ? page : script)
    } else response.writeHead(404).end()
  }
  const server = createServer((request, response) => {
    answer(request, response).catch(() => {
      // The client left in the middle of its form, or the hub cannot reach its broker: this request fails, and no other.
      if (response.headersSent) response.destroy()
      else response.writeHead(503).end('Try again.')
    })
  })
  hub.attach(server)

  await once(server.listen(port, '127.0.0.1'), 'listening')
  const address = /** @type {import('node:net').AddressInfo} */ (server.address())
  return {
    url: `http://127.0.0.1:${address.port}`,
    async close() {
      await hub.close()
      server.close()
      server.closeAllConnections()
    },
  }
}

/** @param {import('node:http').IncomingMessage} request */
async function readForm(request) {
  let text = ''
  for await (const chunk of request.setEncoding('utf8')) {
    text += chunk
    if (text.length > MOST_BYTES) return null
  }
  return new URLSearchParams(text)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { url, close } = await start({ port: Number(process.env.PORT ?? 8000) })
  console.log(
    `Open ${url} in two browsers, log in as ann and as bob ("open sesame"), and let one remove the other.`,
  )
  process.once('SIGINT', close).once('SIGTERM', close)
}
