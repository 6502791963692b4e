import { type ServerResponse, STATUS_CODES } from 'node:http'
import type { Http2ServerResponse } from 'node:http2'
import type { Duplex } from 'node:stream'
import type { HttpAnswer } from '../backend.ts'

/** A response of node:http, or of node:http2 through its compatibility layer: the same methods where we use them. */
export type NodeResponse = ServerResponse | Http2ServerResponse

/** Sends a complete answer. */
export function sendAnswer(response: NodeResponse, { status, headers, body }: HttpAnswer): void {
  const length = status === 204 ? {} : { 'Content-Length': String(Buffer.byteLength(body)) }
  // One overload of `writeHead` for both kinds of response.
  ;(response as ServerResponse).writeHead(status, { ...headers, ...length })
  response.end(body)
}

/** Answers an upgrade that does not become a WebSocket, on the bare socket, and closes it. */
export function refuseUpgrade(socket: Duplex, { status, headers, body }: HttpAnswer): void {
  const lines = [`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`]
  for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`)
  lines.push('Connection: close', `Content-Length: ${Buffer.byteLength(body)}`, '', body)
  // Without a listener, a reset would end the process.
  socket.on('error', () => {})
  // `finish` comes when everything was handed to the kernel; a client that never reads must not keep the socket.
  socket.once('finish', () => socket.destroy())
  socket.end(lines.join('\r\n'))
}
