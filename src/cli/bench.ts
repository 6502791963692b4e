/** `groupcast bench`: puts clients on a hub, publishes at a rate, and says what came of it. */
import { availableParallelism } from 'node:os'
import { type Command, InvalidArgumentError, Option } from 'commander'
import type { LoadOptions, LoadReport } from '../load/index.ts'
import { badName, isGroupName } from '../names.ts'
import { benchProgress } from './bench-progress.ts'
import { faultsOf, generatorRemark, reportTable } from './bench-report.ts'
import { benchTarget } from './bench-target.ts'
import { EXIT, Failure } from './failure.ts'
import { parseServerUrl } from './http.ts'
import { collectAddresses } from './local-addresses.ts'
import { endWithReader, print, say } from './output.ts'

interface BenchOptions {
  readonly clients: number
  readonly transport: LoadOptions['transport']
  readonly groups: readonly string[]
  readonly each?: number
  readonly path: string
  readonly apiUrl?: URL
  readonly rate: number
  readonly size: number
  readonly duration: number
  readonly batch: number
  readonly concurrency: number
  readonly processes?: number
  readonly localAddress?: readonly string[]
  readonly apiKey?: string
  readonly json?: boolean
}

/** How long after the last message one may still come, before it counts as lost. */
const PATIENCE_MS = 10_000
/** Sockets that one process may have where the limit on open files is the usual 20,000, and some to spare. */
const CLIENTS_PER_PROCESS = 15_000
const MOST_PROCESSES = 8

/** Adds the command to the program. */
export function addBench(program: Command): void {
  program
    .command('bench')
    .description(
      'Put clients on a hub, publish at a rate over its HTTP API, and measure; fails when a message is lost.',
    )
    .argument(
      '<url>',
      'Where the hub is, such as http://127.0.0.1:8000, or below a path: https://example.com/live.',
      parseServerUrl,
    )
    .option('--clients <n>', 'How many clients.', wholeFrom(1), 1000)
    .addOption(
      new Option('--transport <name>', 'What they speak; mixed: every second one SSE.')
        .choices(['websocket', 'sse', 'mixed'])
        .default('websocket'),
    )
    .option(
      '--groups <names>',
      'Groups to join, separated by commas; message n goes to one of them.',
      parseGroups,
      ['bench'],
    )
    .option('--each <n>', 'How many of the groups each client joins. (default: all)', wholeFrom(1))
    .option('--path <path>', 'Path of the event streams, below the URL.', parsePath, '/events')
    .option(
      '--api-url <url>',
      'Where the HTTP API is: /api below this. (default: below the URL)',
      parseServerUrl,
    )
    .option('--rate <n>', 'Messages a second, whatever the hub does.', parseRate, 100)
    .option('--size <bytes>', 'Bytes of a message.', wholeFrom(1), 128)
    .option('--duration <seconds>', 'How long to publish.', parseRate, 10)
    .option(
      '--batch <n>',
      'Messages of one request: more than one are sent as lines of one bulk publish.',
      wholeFrom(1),
      1,
    )
    .option('--concurrency <n>', 'Handshakes at once.', wholeFrom(1), 100)
    .option(
      '--processes <n>',
      'Processes that the clients live in. (default: by cores and clients)',
      wholeFrom(1),
    )
    .option(
      '--local-address <address>',
      'Address of this machine to connect from, or an IPv4 network of such (10.0.0.16/28); may be given several times. One has ports for some 28,000 clients of one hub. (default: the system chooses; for a hub on loopback as many as are needed)',
      collectAddresses,
    )
    .option(
      '--api-key <key>',
      'API key; other users can see flags, so prefer the variable GROUPCAST_API_KEY.',
    )
    .option('--json', 'Print the figures as one line of JSON.')
    .action(bench)
}

function wholeFrom(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value >= least) return value
    throw new InvalidArgumentError(`Give a whole number from ${least} up.`)
  }
}

function parseRate(text: string): number {
  const value = Number(text)
  if (/^\d+(?:\.\d+)?$/.test(text) && value > 0) return value
  throw new InvalidArgumentError('Give a number above 0.')
}

function parsePath(path: string): string {
  if (/^\/[^\s#]*$/.test(path)) return path
  throw new InvalidArgumentError('Give a path such as /events.')
}

function parseGroups(text: string): string[] {
  const groups = text.split(',')
  const bad = groups.find((group) => !isGroupName(group))
  if (bad !== undefined) throw new InvalidArgumentError(badName('group', bad))
  return [...new Set(groups)]
}

async function bench(url: URL, options: BenchOptions): Promise<void> {
  endWithReader()
  // Loaded here, so that the other commands do not load the generator.
  const { MIN_MESSAGE_BYTES, MOST_MESSAGES, messagesOf, runLoad } = await import('../load/index.ts')
  const { groups, size, each = groups.length } = options
  if (size < MIN_MESSAGE_BYTES) {
    throw new Failure(EXIT.usage, [
      `--size must be at least ${MIN_MESSAGE_BYTES}: a message has a type and a number.`,
    ])
  }
  if (each > groups.length) {
    throw new Failure(EXIT.usage, [`--each must be at most the number of groups, ${groups.length}.`])
  }
  const load = loadOptions(url, options, each)
  const messages = messagesOf(load)
  if (messages < 1 || messages > MOST_MESSAGES) {
    throw new Failure(EXIT.usage, [
      `--rate ${options.rate} for --duration ${options.duration} publishes ${messages.toLocaleString('en')} messages: rate times seconds must be from 1 to ${MOST_MESSAGES.toLocaleString('en')}.`,
    ])
  }
  const report = await runLoad(load)
  if (options.json === true) await print(JSON.stringify(report))
  else if (report.connected > 0 || report.published > 0) await print(reportTable(report))
  endWith(report)
}

function loadOptions(url: URL, options: BenchOptions, groupsEach: number): LoadOptions {
  const { clients, transport, groups, rate, size, duration, batch, concurrency } = options
  const apiKey = options.apiKey ?? process.env.GROUPCAST_API_KEY ?? ''
  return {
    ...{ clients, transport, groups, groupsEach, rate, size, batch, concurrency },
    ...benchTarget(url, options.path, options.apiUrl ?? null),
    workers: options.processes ?? processesFor(clients),
    ...(options.localAddress !== undefined && { localAddresses: options.localAddress }),
    durationMs: duration * 1000,
    apiKey: apiKey === '' ? null : apiKey,
    patienceMs: PATIENCE_MS,
    signal: firstSignal(),
    onProgress: benchProgress(process.stderr),
  }
}

/** One core is left to the publisher, and to the hub where it is on this machine. */
function processesFor(clients: number): number {
  const byCores = Math.min(MOST_PROCESSES, availableParallelism() - 1)
  return Math.max(1, byCores, Math.ceil(clients / CLIENTS_PER_PROCESS))
}

/** Aborts at the first signal: what was published until then is reported. The next one ends the program. */
function firstSignal(): AbortSignal {
  const controller = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => controller.abort())
  return controller.signal
}

/** @throws {Failure} when something was lost or refused */
function endWith(report: LoadReport): void {
  const remark = generatorRemark(report)
  if (remark !== null) say(remark)
  const faults = faultsOf(report)
  if (faults.length > 0) throw new Failure(EXIT.failed, faults)
}
