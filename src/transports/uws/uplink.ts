import { isUtf8 } from 'node:buffer'
import type { Gate, HttpAnswer, UplinkPlan } from '../backend.ts'
import { Exchange, WholeBody } from './body.ts'
import type { UwsResponse } from './uws.ts'

/** Reads a posted message within its limit, hands it to the gate, and answers. */
export function readUplink(plan: UplinkPlan, response: UwsResponse, gate: Gate, isLast: boolean): void {
  const exchange = new Exchange(response, true, isLast)
  const answer = (ready: HttpAnswer) => exchange.answer(ready, gate.limits.closeTimeoutMs)
  let isLate = false
  const late = setTimeout(() => {
    isLate = true
    answer(gate.problem('body-timeout', plan.headers))
  }, gate.limits.bodyTimeoutMs)
  late.unref()
  const done = (body: Buffer | 'too-large' | 'gone') => {
    clearTimeout(late)
    if (body === 'gone' || isLate) return
    if (body === 'too-large') {
      answer(gate.problem('message-too-large', plan.headers, `The limit is ${plan.maxBytes} bytes.`))
    } else if (!isUtf8(body)) {
      answer(gate.problem('invalid-json', plan.headers, 'The body is not UTF-8.'))
    } else {
      gate.uplink(plan, body.toString()).then(answer, (error) => gate.report(error, 'uplink'))
    }
  }
  exchange.read(new WholeBody(plan.maxBytes, done))
}
