/**
 * What this package uses of uWebSockets.js, as types of its own: the declarations of its versions disagree, and none of them is needed to
 * compile an application. Only what every version from 20.30 on has.
 */
import { types } from 'node:util'
import { MisuseError } from '../../errors.ts'

/** Bytes as uWebSockets.js takes and gives them. What it gives is gone when the handler returns. */
type UwsBytes = ArrayBuffer | Uint8Array

/** The socket context of an upgrade; opaque. */
export type UwsContext = unknown

/** A request. It lives on the stack: nothing of it can be read when the handler has returned. */
export interface UwsRequest {
  /** Lower case. */
  getMethod(): string
  /** The path as sent, without the query. */
  getUrl(): string
  /** The query as sent, without `?`. */
  getQuery(): string | undefined
  /** `''` where there is none; the name in lower case. */
  getHeader(name: string): string
  forEach(visit: (name: string, value: string) => void): void
  /** Leaves the request to the next route. */
  setYield(isYielded: boolean): void
}

/** A response. Every method throws once it has ended or was aborted. */
export interface UwsResponse {
  writeStatus(status: string): UwsResponse
  writeHeader(name: string, value: string): UwsResponse
  write(chunk: string | UwsBytes): boolean
  end(body?: string | UwsBytes, closeConnection?: boolean): UwsResponse
  /** @returns whether it was sent whole, and whether the response has ended with it */
  tryEnd(body: string | UwsBytes, totalBytes: number, closeConnection: boolean): [boolean, boolean]
  endWithoutBody(): UwsResponse
  /** Cuts the connection. */
  close(): UwsResponse
  cork(write: () => void): UwsResponse
  onAborted(handler: () => void): UwsResponse
  onData(handler: (chunk: ArrayBuffer, isLast: boolean) => void): UwsResponse
  onWritable(handler: (offset: number) => boolean): UwsResponse
  pause(): void
  resume(): void
  getRemoteAddress(): ArrayBuffer
  upgrade<UserData>(
    userData: UserData,
    key: string,
    protocol: string,
    extensions: string,
    context: UwsContext,
  ): void
}

/** A WebSocket. Every method throws once it is closed. */
export interface UwsWebSocket {
  /** @returns 1: sent, 0: buffered, 2: dropped */
  send(message: UwsBytes, isBinary: boolean, compress: boolean): number
  ping(message?: UwsBytes): number
  /** Sends a close frame and FIN. The `close` handler runs inside the call. */
  end(code: number, reason: string | UwsBytes): void
  /** Cuts the connection. */
  close(): void
  cork(send: () => void): unknown
  getBufferedAmount(): number
  getUserData(): unknown
}

/** What `app.ws` is given. Seconds; see {@link webSocketOptions} for values that would end the process. */
export interface UwsWebSocketBehavior {
  readonly maxPayloadLength: number
  readonly idleTimeout: number
  readonly sendPingsAutomatically: boolean
  readonly maxBackpressure: number
  readonly compression: number
  upgrade(response: UwsResponse, request: UwsRequest, context: UwsContext): void
  open(socket: UwsWebSocket): void
  message(socket: UwsWebSocket, message: ArrayBuffer, isBinary: boolean): void
  drain(socket: UwsWebSocket): void
  ping(socket: UwsWebSocket, message: ArrayBuffer): void
  pong(socket: UwsWebSocket, message: ArrayBuffer): void
  close(socket: UwsWebSocket, code: number, message: ArrayBuffer): void
}

export type UwsHandler = (response: UwsResponse, request: UwsRequest) => void

/** The token of a listening socket; `false` where it could not listen. */
type UwsListenSocket = object | false

/** Methods of an app that take routes. */
type UwsRoute = 'get' | 'post' | 'options' | 'put' | 'patch' | 'del' | 'head' | 'connect' | 'trace' | 'any'

/** An app: `App()` or `SSLApp({…})`. */
export interface UwsApp extends Record<UwsRoute, (pattern: string, handler: UwsHandler) => unknown> {
  ws(pattern: string, behavior: UwsWebSocketBehavior): unknown
  /** Closes all connections. */
  close(): unknown
  listen(host: string, port: number, options: number, done: (socket: UwsListenSocket) => void): unknown
}

/** Files of an `SSLApp`. */
interface UwsTlsOptions {
  readonly key_file_name?: string
  readonly cert_file_name?: string
  readonly passphrase?: string
}

/** The module `uWebSockets.js`. */
export interface UwsModule {
  App(): UwsApp
  SSLApp(options: UwsTlsOptions): UwsApp
  us_listen_socket_close(socket: object): void
  us_socket_local_port(socket: object): number
  readonly LIBUS_LISTEN_EXCLUSIVE_PORT: number
}

/** Where to get it: it is not on npm. */
const HOW_TO_INSTALL =
  'install it from its own repository (npm install uNetworking/uWebSockets.js#v20.52.0, or the version that has a binary for this Node)'

/**
 * The module that was given, or the default export of its namespace (`await import('uWebSockets.js')`).
 *
 * @throws {MisuseError} `invalid-option` where it is none, or runs without its native binary: some packages of it fall back to an imitation in
 *   JavaScript, which is slower than the node back end
 */
export function nativeUws(given: unknown): UwsModule {
  const module = isModule(given) ? given : (given as { readonly default?: unknown } | null)?.default
  if (!isModule(module)) {
    throw new MisuseError(
      'invalid-option',
      `uwsBackend takes { uws: await import('uWebSockets.js') }: ${HOW_TO_INSTALL}.`,
    )
  }
  if (![module.App, module.SSLApp, module.us_listen_socket_close].every(isNative)) {
    throw new MisuseError(
      'invalid-option',
      `uWebSockets.js has no native binary for Node ${process.version} on ${process.platform}-${process.arch} here, and what it puts in its place is an imitation in JavaScript: ${HOW_TO_INSTALL}, or use the node back end.`,
    )
  }
  return module
}

/**
 * Imports `uWebSockets.js`, which the application has installed.
 *
 * @throws {MisuseError} `invalid-option` where it is not there, does not load, or has no native binary
 */
export async function importUws(name = 'uWebSockets.js'): Promise<UwsModule> {
  let module: unknown
  try {
    // Not a literal: the package is optional, and neither compilers nor bundlers shall look for it.
    module = await import(name)
  } catch (cause) {
    const text = cause instanceof Error ? cause.message.split('\n', 1)[0] : String(cause)
    throw new MisuseError(
      'invalid-option',
      `uWebSockets.js could not be loaded (${text}): ${HOW_TO_INSTALL}, or use the node back end.`,
    )
  }
  return nativeUws(module)
}

function isModule(value: unknown): value is UwsModule {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof Reflect.get(value, 'App') === 'function' &&
    typeof Reflect.get(value, 'us_listen_socket_close') === 'function'
  )
}

/**
 * Whether it is a function of a binary. Bound ones and proxies look like that too, but have no `prototype`, or the one that they stand for. A
 * function of JavaScript that is dressed up as native is whoever's who dressed it.
 */
function isNative(fn: unknown): boolean {
  if (typeof fn !== 'function' || types.isProxy(fn) || !Object.hasOwn(fn, 'prototype')) return false
  return Function.prototype.toString.call(fn).includes('[native code]')
}

/** Whether the app ends TLS. */
export function isEncrypted(app: UwsApp): boolean {
  return app.constructor.name.endsWith('SSLApp')
}
