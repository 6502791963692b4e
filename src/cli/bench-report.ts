/** The figures of a load, for people. */
import type { LoadReport, Percentiles } from '../load/index.ts'

/** The figures as lines of text. */
export function reportTable(report: LoadReport): string {
  const lines: [name: string, value: string][] = [
    ['connected', `${whole(report.connected)} of ${whole(report.clients)}`],
    ['handshakes', `${whole(report.handshakesPerSecond)} a second`],
    ['published', whole(report.published)],
    ['deliveries', `${whole(report.received)} of ${whole(report.expected)}`],
    ['offered', `${whole(report.offeredPerSecond)} deliveries a second`],
    ['achieved', `${whole(report.achievedPerSecond)} deliveries a second`],
    ['lost', whole(report.lost)],
    ['doubled', whole(report.doubled)],
    ['out of order', whole(report.outOfOrder)],
    ['compared', `${whole(report.sampled)} messages byte by byte, ${whole(report.damaged)} differed`],
    ['generator', `${Math.round(report.busy * 100)} % of a core`],
  ]
  const width = Math.max(...lines.map(([name]) => name.length))
  const text = lines.map(([name, value]) => `${name.padEnd(width)}  ${value}`)
  return [...text, '', ...latencyTable(report)].join('\n')
}

const COLUMNS = ['p50', 'p90', 'p99', 'p99.9', 'max']

function latencyTable({ latency, timeToLast, lateness }: LoadReport): string[] {
  const title = 'milliseconds from the intended time of sending'
  const row = (name: string, cells: readonly string[]) =>
    name.padEnd(title.length) + cells.map((cell) => cell.padStart(10)).join('')
  return [
    row(title, COLUMNS),
    row('  to each delivery', cellsOf(latency)),
    row('  to the last subscriber', cellsOf(timeToLast)),
    row('  to the request of the publisher', cellsOf(lateness)),
  ]
}

function cellsOf({ count, p50, p90, p99, p999, max }: Percentiles): string[] {
  return [p50, p90, p99, p999, max].map((ms) => (count === 0 ? '-' : ms.toFixed(2)))
}

function whole(value: number): string {
  return Math.round(value).toLocaleString('en')
}

/** What went wrong, a text each; none when all is well. */
export function faultsOf(report: LoadReport): string[] {
  const faults: [count: number, what: string][] = [
    [report.clients - report.connected - report.ended, 'clients did not connect'],
    [report.ended, 'clients were disconnected'],
    [report.refused, 'messages were refused'],
    [report.lost, 'deliveries were lost'],
    [report.doubled, 'deliveries were doubled'],
    [report.outOfOrder, 'deliveries were out of order'],
    [report.damaged, 'messages were not what was published'],
  ]
  const found = faults.filter(([count]) => count > 0).map(([count, what]) => `${whole(count)} ${what}`)
  const reasons = [...report.reasons, ...(report.failure === null ? [] : [report.failure])]
  if (found.length === 0) return report.failure === null ? [] : [report.failure]
  return [
    `${found.join(', ')}${reasons.length === 0 ? '.' : ` (${reasons.slice(0, MOST_REASONS).join('; ')}).`}`,
  ]
}

const MOST_REASONS = 5

/** What to know about figures that may be the generator's; `null` when they are the hub's. */
export function generatorRemark({
  isGeneratorBottleneck,
  busy,
}: Pick<LoadReport, 'isGeneratorBottleneck' | 'busy'>): string | null {
  if (!isGeneratorBottleneck) return null
  return `the load generator was the bottleneck (${Math.round(busy * 100)} % of a core): the hub may do better than these figures.`
}
