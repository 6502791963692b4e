/** The load generator: any number of WebSocket and SSE clients on a hub, and a publisher that keeps its schedule. */
export { monotonicMs } from './clocks.ts'
export { Fleet, type FleetOptions, type FleetReport } from './fleet.ts'
export { microsecondHistogram, type Percentiles, percentilesOf, type Schedule } from './latency.ts'
export {
  type LoadOptions,
  type LoadProgress,
  type LoadReport,
  MOST_MESSAGES,
  messagesOf,
  runLoad,
} from './load.ts'
export { Membership } from './membership.ts'
export { MIN_MESSAGE_BYTES, numberedMessage } from './numbered.ts'
export { Publisher, type PublisherOptions } from './publisher.ts'
export { ResponseReader } from './response-reader.ts'
export { runSchedule } from './run-schedule.ts'
export type { SlowReport } from './slow-tally.ts'
