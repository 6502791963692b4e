import type { Server as HttpServer, IncomingMessage } from 'node:http'
import type { Http2SecureServer } from 'node:http2'
import type { Server as HttpsServer } from 'node:https'
import type { Socket } from 'node:net'
import { MisuseError } from '../../errors.ts'
import { assertKnownOptions } from '../../options.ts'
import type { Attachment, Gate, ServerBackend } from '../backend.ts'
import { TrustedProxies } from '../trusted-proxies.ts'
import { type NodeResponse, refuseUpgrade, sendAnswer } from './answer.ts'
import { downgrade } from './downgrade.ts'
import { NodeRequest } from './request.ts'
import { Streams } from './stream.ts'
import { readUplink } from './uplink.ts'
import { WebSockets } from './websocket.ts'

/** What the node back end can be attached to. HTTP/2 needs `allowHTTP1: true` for WebSockets. */
export type NodeServer = HttpServer | HttpsServer | Http2SecureServer

/** How {@link nodeBackend} is configured. */
export interface NodeBackendOptions {
  /** Addresses and networks of proxies in front of the server, whose `X-Forwarded-For` is believed. Default: none. */
  readonly trustedProxies?: readonly string[]
}

/**
 * The server back end on `node:http` and `ws`: works beside any application on the same server.
 *
 * @throws {MisuseError} `invalid-option` for an option that does not exist, or is not valid
 */
export function nodeBackend(options: NodeBackendOptions = {}): ServerBackend<NodeServer> {
  assertKnownOptions('nodeBackend', options, ['trustedProxies'])
  const trustedProxies = new TrustedProxies(options.trustedProxies)
  return {
    name: 'node',
    attach(server, gate) {
      if (typeof server?.emit !== 'function' || typeof server.listen !== 'function') {
        throw new MisuseError(
          'invalid-option',
          'hub.attach takes a server of node:http, node:https or node:http2.',
        )
      }
      return new NodeAttachment(server, gate, trustedProxies)
    },
  }
}

/** Whether an upgrade is to a WebSocket, perhaps among others, in whatever form. */
function asksForWebSocket({ headers }: IncomingMessage): boolean {
  return /(?:^|,)\s*websocket\s*(?:,|$)/i.test(headers.upgrade ?? '')
}

type Emit = (this: NodeServer, event: string | symbol, ...args: unknown[]) => boolean

/** Whose `emit` a function is: several hubs may be attached to one server, and leave in any order. */
const ATTACHMENTS = new WeakMap<Emit, NodeAttachment>()
/** Listeners that only answer for want of others. */
const FALLBACKS = new WeakSet<object>()
/** What had been written to a socket before anybody could answer its upgrade: the answer to an earlier request, if any. */
const WRITTEN_BEFORE = new WeakMap<Socket, number>()

/**
 * The hub's place on a server. It looks at the server's `request` and `upgrade` events before any listener does, and takes those
 * of its consumers out: so it does not matter which application listens, whether it was there first, or whether it answers every
 * URL. A listener of our own could not keep the others from answering too.
 */
class NodeAttachment implements Attachment {
  readonly #server: NodeServer
  readonly #gate: Gate
  readonly #trustedProxies: TrustedProxies
  readonly #streams: Streams
  readonly #webSockets: WebSockets
  readonly #emit: Emit
  readonly #original: Emit
  /** Passes everything on. */
  isDetached = false

  constructor(server: NodeServer, gate: Gate, trustedProxies: TrustedProxies) {
    this.#server = server
    this.#gate = gate
    this.#trustedProxies = trustedProxies
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
    ATTACHMENTS.set(this.#emit, this)
    FALLBACKS.add(this.#refuseRequest)
    FALLBACKS.add(this.#refuseUpgrade)
    // An HTTP/2 server has no requests, only streams, until somebody listens for them.
    server.on('request', this.#refuseRequest)
    // node:http treats upgrades as plain requests until somebody listens for them.
    server.on('upgrade', this.#refuseUpgrade)
  }

  detach(): void {
    const server = this.#server
    this.isDetached = true
    server.off('request', this.#refuseRequest)
    server.off('upgrade', this.#refuseUpgrade)
    // Somebody who wrapped `emit` after us still calls ours: it must pass everything on rather than vanish. When it is
    // another hub, that one takes ours away with its own.
    let emit = server.emit as Emit
    for (let top = ATTACHMENTS.get(emit); top?.isDetached === true; top = ATTACHMENTS.get(emit)) {
      emit = top.#original
    }
    if (emit === Object.getPrototypeOf(server).emit) Reflect.deleteProperty(server, 'emit')
    else server.emit = emit as NodeServer['emit']
  }

  #takesRequest(rawRequest: unknown, rawResponse: unknown): boolean {
    if (this.isDetached) return false
    const request = rawRequest as IncomingMessage
    const response = rawResponse as NodeResponse
    const plan = this.#gate.plan(new NodeRequest(request, this.#trustedProxies))
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
    if (this.isDetached) return false
    const request = rawRequest as IncomingMessage
    const socket = rawSocket as Socket
    const plan = this.#gate.plan(new NodeRequest(request, this.#trustedProxies))
    if (plan.kind === 'pass') {
      WRITTEN_BEFORE.set(socket, socket.bytesWritten)
      return false
    }
    if (request.httpVersion !== '1.1' || !asksForWebSocket(request)) {
      this.#downgrade(request, socket, rawHead as Buffer)
      return true
    }
    switch (plan.kind) {
      case 'answer':
        refuseUpgrade(socket, plan.answer)
        return true
      case 'websocket':
        // Without a listener, a reset during the handshake would end the process.
        socket.on('error', () => {})
        this.#guard(this.#webSockets.accept(plan, request, socket, rawHead as Buffer), 'websocket')
        return true
      case 'stream':
      case 'uplink':
        // Both want a request that asks for no WebSocket.
        refuseUpgrade(socket, this.#gate.problem('bad-request'))
        return true
      default:
        return plan satisfies never
    }
  }

  #downgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    if (downgrade(this.#server, request, socket, head)) return
    refuseUpgrade(socket, this.#gate.problem('bad-request', {}, 'The request has too many headers.'))
  }

  #guard(work: Promise<void>, where: string): void {
    work.catch((error) => this.#gate.report(error, where))
  }

  /** A request that no consumer serves, on a server that has nothing else to answer with. */
  readonly #refuseRequest = (request: IncomingMessage, response: NodeResponse): void => {
    const listeners = this.#server.listeners('request')
    if (listeners[0] !== this.#refuseRequest || !listeners.every((listener) => FALLBACKS.has(listener)))
      return
    // One listener for streams of HTTP/2 is what hands out requests; another is an application.
    if (this.#server.listenerCount('stream') > 1) return
    request.resume()
    sendAnswer(response, this.#gate.problem('not-found'))
  }

  /**
   * An upgrade that no consumer serves. Others may: those who listen are given the time of a handshake, and whoever answers has
   * written by then. When nobody else listens it is refused at once.
   */
  readonly #refuseUpgrade = (request: IncomingMessage, socket: Socket, head: Buffer): void => {
    const listeners = this.#server.listeners('upgrade')
    const others = listeners.filter((listener) => !FALLBACKS.has(listener))
    if (others.length === 0) {
      // Of several hubs on one server, the first speaks for all.
      if (listeners[0] !== this.#refuseUpgrade) return
      if (!asksForWebSocket(request)) this.#downgrade(request, socket, head)
      else refuseUpgrade(socket, this.#gate.problem('not-found'))
      return
    }
    // Another that heard of it before us may have answered already.
    const written = WRITTEN_BEFORE.get(socket)
    if (socket.destroyed || socket.bytesWritten !== written) return
    socket.on('error', () => {})
    const refuse = () => {
      if (socket.bytesWritten === written && !socket.destroyed)
        refuseUpgrade(socket, this.#gate.problem('not-found'))
    }
    const timer = setTimeout(refuse, this.#gate.limits.handshakeTimeoutMs)
    timer.unref()
    socket.once('close', () => clearTimeout(timer))
  }
}
