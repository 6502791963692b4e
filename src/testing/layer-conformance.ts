import { MisuseError } from '../errors.ts'
import { quote } from '../names.ts'
import { abortCases } from './layer-cases/abort.ts'
import { capacityCases } from './layer-cases/capacity.ts'
import { channelCases } from './layer-cases/channels.ts'
import { deliveryCases } from './layer-cases/delivery.ts'
import { expiryCases } from './layer-cases/expiry.ts'
import { historyCases } from './layer-cases/history.ts'
import { lifecycleCases } from './layer-cases/lifecycle.ts'
import { membershipCases } from './layer-cases/membership.ts'
import { messageCases } from './layer-cases/messages.ts'
import { nameCases } from './layer-cases/names.ts'
import { nodeChannelCases } from './layer-cases/node-channels.ts'
import { orderCases } from './layer-cases/order.ts'
import type { ConformanceCase, LayerConformanceOptions } from './layer-options.ts'
import { type CaseSpec, runCase } from './trial.ts'

/**
 * All that the contract of channel layers asks of a driver, as cases for any test runner. They are
 * independent of each other, and use nothing but `node:assert`.
 *
 * @example
 * const cases = layerConformance({
 *   clock: 'manual',
 *   create(count, setup) {
 *     const broker = memoryBroker(setup)
 *     return { layers: Array.from({ length: count }, () => memoryLayer({ broker })) }
 *   },
 * })
 * for (const { title, run } of cases) test(title, run)
 *
 * @throws {MisuseError} (code `invalid-option`) for numbers that are not positive
 */
export function layerConformance(options: LayerConformanceOptions): ConformanceCase[] {
  const resolved = {
    create: options.create,
    clock: options.clock ?? 'real',
    nodes: positive('nodes', options.nodes ?? 3),
    expiryMs: positive('expiryMs', options.expiryMs ?? 1000),
    deadlineMs: positive('deadlineMs', options.deadlineMs ?? 3000),
    seed: options.seed ?? Math.floor(Math.random() * 2 ** 32),
  } as const
  return CASES.filter((spec) => isPossible(spec, resolved)).map((spec) => ({
    obligation: Number.parseInt(spec.title, 10),
    title: spec.title,
    run: () => runCase(spec, resolved),
  }))
}

const CASES: readonly CaseSpec[] = [
  ...deliveryCases,
  ...membershipCases,
  ...orderCases,
  ...channelCases,
  ...capacityCases,
  ...expiryCases,
  ...abortCases,
  ...nodeChannelCases,
  ...nameCases,
  ...messageCases,
  ...lifecycleCases,
  ...historyCases,
]

function isPossible(spec: CaseSpec, options: { readonly nodes: number; readonly clock: string }): boolean {
  return (
    options.nodes >= (spec.minNodes ?? 1) && (spec.needs !== 'manual clock' || options.clock === 'manual')
  )
}

function positive(option: string, value: number): number {
  if (Number.isFinite(value) && value >= 1) return value
  throw new MisuseError('invalid-option', `${option} is ${quote(value)}: it must be a number from 1.`)
}
