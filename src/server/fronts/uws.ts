import { createServer } from 'node:net'
import { uwsApiHandler } from '../../api/uws.ts'
import type { Hub } from '../../hub/hub-api.ts'
import type { AnyMessages } from '../../message.ts'
import type { ServerBackend } from '../../transports/backend.ts'
import { TrustedProxies } from '../../transports/trusted-proxies.ts'
import { sendAnswer } from '../../transports/uws/answer.ts'
import { otherwise, uwsBackend } from '../../transports/uws/backend.ts'
import { Exchange } from '../../transports/uws/body.ts'
import { isClear } from '../../transports/uws/framing.ts'
import { importUws, type UwsApp, type UwsHandler, type UwsModule } from '../../transports/uws/uws.ts'
import type { Config } from '../config/schema.ts'
import { type Front, pageAnswer, type Served, tlsOf, urlOf } from './front.ts'

/** How long a body may go on that no page takes. */
const LINGER_MS = 1_000

/** Serves with uWebSockets.js, which the user has installed. */
export class UwsFront implements Front {
  readonly backend: ServerBackend<never>
  readonly #uws: UwsModule
  readonly #config: Config
  #app: UwsApp | null = null
  #socket: object | null = null
  #underWay = 0
  #waiting: (() => void)[] = []

  /** @throws {MisuseError} `invalid-option` where uWebSockets.js is not there, or has no binary */
  static async create(config: Config): Promise<UwsFront> {
    return new UwsFront(config, await importUws())
  }

  private constructor(config: Config, uws: UwsModule) {
    this.#config = config
    this.#uws = uws
    this.backend = uwsBackend({ uws, trustedProxies: config.trustedProxies }) as ServerBackend<never>
  }

  async listen({ hub, api, pages }: Served): Promise<string> {
    const { trustedProxies, host, port } = this.#config
    const app = this.#appOf()
    ;(hub as unknown as Hub<AnyMessages, UwsApp>).attach(app)
    const settings = {
      encrypted: this.#config.tls.cert !== false,
      trustedProxies: new TrustedProxies(trustedProxies),
    }
    const isApi = uwsApiHandler(api, settings, (work) => this.#follow(work))
    const handler: UwsHandler = (response, request) => {
      if (isApi(response, request)) return
      const method = request.getMethod().toUpperCase()
      const isHead = method === 'HEAD'
      const answer = pageAnswer(pages, method, request.getUrl())
      if (isClear(request))
        sendAnswer(response, answer, { isHead, close: request.getHeader('upgrade') !== '' })
      else new Exchange(response, true, true).answer(answer, LINGER_MS, isHead)
    }
    otherwise(app, handler)
    // The hub has routes for the methods that it knows.
    app.any('/*', handler)
    const socket = await new Promise<object | false>((resolve) => {
      // Else a second server would share the port without a word.
      app.listen(host, port, this.#uws.LIBUS_LISTEN_EXCLUSIVE_PORT, resolve)
    })
    if (socket === false) throw await listenFault(host, port)
    this.#app = app
    this.#socket = socket
    return urlOf(this.#config, this.#uws.us_socket_local_port(socket))
  }

  stopAccepting(): void {
    if (this.#socket !== null) this.#uws.us_listen_socket_close(this.#socket)
    this.#socket = null
  }

  idle(): Promise<void> {
    if (this.#underWay === 0) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  // Connections are counted by uWebSockets.js, which closes all of them or none.
  end(): void {}

  async cut(): Promise<void> {
    this.stopAccepting()
    this.#app?.close()
  }

  #appOf(): UwsApp {
    const { cert, key } = this.#config.tls
    // Checked first: with files that it cannot use uWebSockets.js makes an app that never listens, and says nothing.
    if (tlsOf(this.#config) === null || cert === false || key === false) return this.#uws.App()
    return this.#uws.SSLApp({ cert_file_name: cert, key_file_name: key })
  }

  #follow(work: Promise<unknown>): void {
    this.#underWay++
    const done = () => {
      this.#underWay--
      if (this.#underWay > 0) return
      const waiting = this.#waiting
      this.#waiting = []
      for (const resolve of waiting) resolve()
    }
    // An answer that was written in a handler of uWebSockets.js leaves when that returns: not yet.
    const later = () => setImmediate(done)
    work.then(later, later)
  }
}

/** Why it could not listen: uWebSockets.js does not say, so Node is asked to try the same. */
function listenFault(host: string, port: number): Promise<Error> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', resolve)
    probe.listen({ host, port, exclusive: true }, () => {
      probe.close(() => resolve(new Error(`uWebSockets.js cannot listen on port ${port} of ${host}.`)))
    })
  })
}
