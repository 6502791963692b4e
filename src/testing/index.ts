/**
 * For authors of layers, and for tests: what holds a driver against its contract, and a clock that is turned
 * by hand.
 */
export {
  type BrokerConformanceOptions,
  type BrokerNodes,
  brokerConformance,
  type FaultyBroker,
} from './broker-conformance.ts'
export { type FaultyWire, faultyWire } from './faulty-wire.ts'
export { layerConformance } from './layer-conformance.ts'
export type {
  ConformanceCase,
  ConformanceClient,
  ConformanceNodes,
  ConformanceSetup,
  LayerConformanceOptions,
} from './layer-options.ts'
export { type ManualClock, manualClock } from './manual-clock.ts'
