import type { IncomingMessage } from 'node:http'
import type { Gate, UplinkPlan } from '../backend.ts'
import { type NodeResponse, sendAnswer } from './answer.ts'

/** Reads a posted message within its limit, hands it to the gate, and answers. */
export function readUplink(
  request: IncomingMessage,
  response: NodeResponse,
  plan: UplinkPlan,
  gate: Gate,
): void {
  const chunks: Buffer[] = []
  let size = 0
  let isRefused = false
  const late = setTimeout(() => refuse('body-timeout'), gate.limits.bodyTimeoutMs)
  late.unref()
  request.once('close', () => clearTimeout(late))
  // A client that leaves in the middle ends the request; there is nobody to answer.
  request.on('error', () => {})
  response.on('error', () => {})
  request.on('data', (chunk: Buffer) => {
    size += chunk.length
    if (size <= plan.maxBytes) chunks.push(chunk)
    else if (!isRefused) refuse('message-too-large', `The limit is ${plan.maxBytes} bytes.`)
  })
  request.on('end', () => {
    clearTimeout(late)
    if (isRefused) return
    const body = decodeUtf8(Buffer.concat(chunks, size))
    if (body === null) {
      sendAnswer(response, gate.problem('invalid-json', plan.headers, 'The body is not UTF-8.'))
      return
    }
    gate.uplink(plan, body).then(
      (answer) => sendAnswer(response, answer),
      (error) => gate.report(error, 'uplink'),
    )
  })

  function refuse(code: 'message-too-large' | 'body-timeout', detail?: string): void {
    isRefused = true
    clearTimeout(late)
    chunks.length = 0
    sendAnswer(response, gate.problem(code, plan.headers, detail))
    // The rest is read and forgotten for a while: closing with unread bytes makes the kernel reset the connection, and most
    // clients look at the answer only when they have sent everything.
    const timer = setTimeout(() => request.destroy(), gate.limits.closeTimeoutMs)
    timer.unref()
    request.once('close', () => clearTimeout(timer))
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function decodeUtf8(bytes: Buffer): string | null {
  try {
    return utf8.decode(bytes)
  } catch {
    return null
  }
}
