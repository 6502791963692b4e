import { isUtf8 } from 'node:buffer'
import type { Gate, HttpAnswer, UplinkPlan } from '../backend.ts'
import { sendAnswer } from './answer.ts'
import { readBody } from './body.ts'
import type { UwsResponse } from './uws.ts'

/** Reads a posted message within its limit, hands it to the gate, and answers. */
export function readUplink(plan: UplinkPlan, response: UwsResponse, gate: Gate): void {
  let isOver = false
  response.onAborted(() => {
    isOver = true
  })
  const answer = (ready: HttpAnswer) => {
    if (isOver) return
    isOver = true
    sendAnswer(response, ready)
  }
  readBody(response, plan.maxBytes, (body) => {
    if (body === null) {
      answer(gate.problem('message-too-large', plan.headers, `The limit is ${plan.maxBytes} bytes.`))
    } else if (!isUtf8(body)) {
      answer(gate.problem('invalid-json', plan.headers, 'The body is not UTF-8.'))
    } else {
      gate.uplink(plan, body.toString()).then(answer, (error) => gate.report(error, 'uplink'))
    }
  })
}
