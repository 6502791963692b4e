/** The open sockets of a server and the requests under way on them, so that closing cuts no answer and leaves no socket behind. */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { Server as TlsServer } from 'node:tls'

/** Follows a server of `node:http` or `node:https` from its start. */
export class Traffic {
  /** How many requests are under way on each open socket. */
  readonly #sockets = new Map<Socket, number>()
  /** What is below the sockets of a TLS server; all there is of those that have not shaken hands. */
  readonly #belowTls = new Set<Socket>()
  #underWay = 0
  #isEnding = false
  #waiting: (() => void)[] = []

  constructor(server: Server) {
    const isTls = server instanceof TlsServer
    if (isTls) server.on('connection', (socket: Socket) => this.#followBelow(socket))
    // The sockets that requests come over.
    server.on(isTls ? 'secureConnection' : 'connection', (socket: Socket) => {
      // A socket that is handed to the server a second time, after an upgrade that it ignored, is no second one.
      if (this.#sockets.has(socket)) return
      this.#sockets.set(socket, 0)
      // Nothing else tells of requests that were pipelined behind others and never had their turn.
      socket.once('close', () => {
        this.#underWay -= this.#sockets.get(socket) ?? 0
        this.#sockets.delete(socket)
        this.#wake()
      })
    })
  }

  /**
   * Counts a request until its answer was handed to the kernel or its client has left.
   *
   * @returns whether to answer it; not once {@link end} was called, and then its socket is gone
   */
  begin({ socket }: IncomingMessage, response: ServerResponse): boolean {
    const before = this.#sockets.get(socket)
    if (this.#isEnding || before === undefined) {
      socket.destroy()
      return false
    }
    this.#sockets.set(socket, before + 1)
    this.#underWay++
    response.once('close', () => this.#ended(socket))
    return true
  }

  /** Resolves when no request is under way. */
  idle(): Promise<void> {
    if (this.#underWay === 0) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  /** Cuts the sockets without a request, and the others as soon as they have none. */
  end(): void {
    this.#isEnding = true
    for (const [socket, requests] of this.#sockets) if (requests === 0) socket.destroy()
  }

  /** Cuts all sockets. */
  cut(): void {
    this.#isEnding = true
    for (const socket of this.#sockets.keys()) socket.destroy()
    for (const socket of this.#belowTls) socket.destroy()
  }

  #followBelow(socket: Socket): void {
    this.#belowTls.add(socket)
    socket.once('close', () => this.#belowTls.delete(socket))
  }

  #ended(socket: Socket): void {
    const requests = this.#sockets.get(socket)
    // Its socket has closed, and was subtracted as a whole.
    if (requests === undefined) return
    this.#sockets.set(socket, requests - 1)
    this.#underWay--
    if (this.#isEnding && requests === 1) socket.destroy()
    this.#wake()
  }

  #wake(): void {
    if (this.#underWay > 0) return
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve()
  }
}
