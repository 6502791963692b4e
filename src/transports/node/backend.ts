import type { Server as HttpServer, IncomingMessage } from 'node:http'
import type { Http2SecureServer } from 'node:http2'
import type { Server as HttpsServer } from 'node:https'
import type { Socket } from 'node:net'
import { MisuseError } from '../../errors.ts'
import type { Attachment, Gate, ServerBackend } from '../backend.ts'
import { type NodeResponse, refuseUpgrade, sendAnswer } from './answer.ts'
import { NodeRequest } from './request.ts'
import { Streams } from './stream.ts'
import { readUplink } from './uplink.ts'
import { WebSockets } from './websocket.ts'

/** What the node back end can be attached to. HTTP/2 needs `allowHTTP1: true` for WebSockets. */
export type NodeServer = HttpServer | HttpsServer | Http2SecureServer

/** The server back end on `node:http` and `ws`: no options, works beside any application on the same server. */
export function nodeBackend(): ServerBackend<NodeServer> {
  return {
    name: 'node',
    attach(server, gate) {
      if (typeof server?.emit !== 'function' || typeof server.listen !== 'function') {
        throw new MisuseError(
          'invalid-option',
          'hub.attach takes a server of node:http, node:https or node:http2.',
        )
      }
      return new NodeAttachment(server, gate)
    },
  }
}

type Emit = (this: NodeServer, event: string | symbol, ...args: unknown[]) => boolean

/**
 * The hub's place on a server. It looks at the server's `request` and `upgrade` events before any listener does, and takes those
 * of its consumers out: so it does not matter which application listens, whether it was there first, or whether it answers every
 * URL. A listener of our own could not keep the others from answering too.
 */
class NodeAttachment implements Attachment {
  readonly #server: NodeServer
  readonly #gate: Gate
  readonly #streams: Streams
  readonly #webSockets: WebSockets
  readonly #emit: Emit
  readonly #original: Emit
  #isDetached = false

  constructor(server: NodeServer, gate: Gate) {
    this.#server = server
    this.#gate = gate
    this.#streams = new Streams(gate)
    this.#webSockets = new WebSockets(gate)
    const attachment = this
    const original = server.emit as Emit
    this.#original = original
    this.#emit = function emit(event, ...args) {
      if (event === 'request' && attachment.#takesRequest(args[0], args[1])) return true
      if (event === 'upgrade' && attachment.#takesUpgrade(args[0], args[1], args[2])) return true
      return original.call(this, event, ...args)
    }
    server.emit = this.#emit as NodeServer['emit']
    // node:http treats upgrades as plain requests until somebody listens for them.
    server.on('upgrade', this.#refuseUnanswered)
  }

  detach(): void {
    this.#server.off('upgrade', this.#refuseUnanswered)
    // Somebody who wrapped `emit` after us still calls ours: it must pass everything on rather than vanish.
    if (this.#server.emit === this.#emit) this.#server.emit = this.#original as NodeServer['emit']
    this.#isDetached = true
  }

  #takesRequest(rawRequest: unknown, rawResponse: unknown): boolean {
    if (this.#isDetached) return false
    const request = rawRequest as IncomingMessage
    const response = rawResponse as NodeResponse
    const plan = this.#gate.plan(new NodeRequest(request))
    switch (plan.kind) {
      case 'pass':
        return false
      case 'answer':
        request.resume()
        sendAnswer(response, plan.answer)
        return true
      case 'uplink':
        readUplink(request, response, plan, this.#gate)
        return true
      case 'stream':
        this.#guard(this.#streams.accept(plan, request, response), 'stream')
        return true
      case 'websocket':
        // node:http hands out upgrades by another event; over HTTP/2 there are none.
        sendAnswer(
          response,
          this.#gate.problem(
            'bad-request',
            {},
            'The request asks for an upgrade that this connection cannot make.',
          ),
        )
        return true
      default:
        return plan satisfies never
    }
  }

  #takesUpgrade(rawRequest: unknown, rawSocket: unknown, rawHead: unknown): boolean {
    if (this.#isDetached) return false
    const request = rawRequest as IncomingMessage
    const socket = rawSocket as Socket
    const plan = this.#gate.plan(new NodeRequest(request))
    if (plan.kind === 'pass') return false
    // Without a listener, a reset during the handshake would end the process.
    socket.on('error', () => {})
    switch (plan.kind) {
      case 'answer':
        refuseUpgrade(socket, plan.answer)
        return true
      case 'websocket':
        this.#guard(this.#webSockets.accept(plan, request, socket, rawHead as Buffer), 'websocket')
        return true
      case 'stream':
      case 'uplink':
        // An upgrade to something else: the connection cannot go back to plain HTTP.
        refuseUpgrade(
          socket,
          this.#gate.problem('bad-request', {}, 'The only upgrade supported here is to a WebSocket.'),
        )
        return true
      default:
        return plan satisfies never
    }
  }

  #guard(work: Promise<void>, where: string): void {
    work.catch((error) => this.#gate.report(error, where))
  }

  /**
   * An upgrade that no consumer serves. Others may: those who listen are given the time of a handshake, and whoever answers has
   * written by then. When nobody else listens it is refused at once.
   */
  readonly #refuseUnanswered = (_request: IncomingMessage, socket: Socket): void => {
    socket.on('error', () => {})
    const refuse = () => {
      if (socket.bytesWritten === written && !socket.destroyed)
        refuseUpgrade(socket, this.#gate.problem('not-found'))
    }
    const written = socket.bytesWritten
    if (this.#server.listenerCount('upgrade') === 1) {
      refuse()
      return
    }
    const timer = setTimeout(refuse, this.#gate.limits.handshakeTimeoutMs)
    timer.unref()
    socket.once('close', () => clearTimeout(timer))
  }
}
