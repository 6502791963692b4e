/** `groupcast subscribe`: prints the messages of groups as they come. */
import { setTimeout as delay } from 'node:timers/promises'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { badName, isGroupName } from '../names.ts'
import type { Transport } from '../wire/wire-format.ts'
import { EXIT, Failure } from './failure.ts'
import { DEFAULT_URL, parseServerUrl, urlOf } from './http.ts'
import { endWithReader, print, say } from './output.ts'
import { backoffMs } from './subscribe/backoff.ts'
import { connectNdjson } from './subscribe/ndjson.ts'
import { connectSse } from './subscribe/sse.ts'
import { type Connect, type Ending, LOST, type Target } from './subscribe/transport.ts'
import { connectWebSocket } from './subscribe/websocket.ts'

interface SubscribeOptions {
  readonly transport: Transport
  readonly url: URL
  readonly path: string
  readonly envelope?: boolean
  readonly count?: number
  readonly reconnect: boolean
}

/** RFC 6455, section 7.4.1: the server has nothing more to send. */
const NORMAL_CLOSURE = 1000

/** A connection that was open for so long was a success: the next wait is a short one again. */
const STABLE_MS = 10_000

const CONNECTS: Readonly<Record<Transport, Connect>> = {
  websocket: connectWebSocket,
  sse: connectSse,
  ndjson: connectNdjson,
}

/** Adds the command to the program. */
export function addSubscribe(program: Command): void {
  program
    .command('subscribe')
    .description('Print the messages of groups as they come, one line of JSON each.')
    .argument('<group...>', 'Names of the groups.')
    .addOption(
      new Option('--transport <name>', 'How to connect.').choices(Object.keys(CONNECTS)).default('websocket'),
    )
    .option('--url <url>', 'Where the server is.', parseServerUrl, new URL(DEFAULT_URL))
    .option('--path <path>', 'Path of the event streams.', parsePath, '/events')
    .option('--envelope', 'Print messages in their envelopes, with the group and the cursor.')
    .option('--count <n>', 'End after so many messages.', parseCount)
    .option('--no-reconnect', 'End when the connection does.')
    .action(subscribe)
}

function parsePath(path: string): string {
  if (/^\/[^\s?#]*$/.test(path)) return path
  throw new InvalidArgumentError('Give a path such as /events.')
}

function parseCount(text: string): number {
  const count = Number(text)
  if (/^\d+$/.test(text) && Number.isSafeInteger(count) && count > 0) return count
  throw new InvalidArgumentError('Give a whole number from 1 up.')
}

async function subscribe(groups: readonly string[], options: SubscribeOptions): Promise<void> {
  const bad = groups.filter((group) => !isGroupName(group))
  if (bad.length > 0) {
    throw new Failure(
      EXIT.usage,
      bad.map((group) => badName('group', group)),
    )
  }
  endWithReader()
  const query = new URLSearchParams()
  for (const group of new Set(groups)) query.append('group', group)
  if (options.envelope === true && options.transport === 'sse') query.set('envelope', '1')
  const target = { url: urlOf(options.url, options.path, query), envelope: options.envelope === true }
  await follow(target, options, abortOnSignal())
}

/** Aborts at the first signal to stop; the next one ends the program as if nobody had listened. */
function abortOnSignal(): AbortSignal {
  const controller = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => controller.abort())
  return controller.signal
}

/** Prints messages, connecting again as often as allowed, until there are enough or the signal aborts. */
async function follow(target: Target, options: SubscribeOptions, signal: AbortSignal): Promise<void> {
  const { transport, reconnect, count = Number.POSITIVE_INFINITY } = options
  let left = count
  let failures = 0
  while (!signal.aborted) {
    const run = await printAll(CONNECTS[transport](target, signal), left, `${target.url} (${transport})`)
    left -= run.printed
    if (run.ending === null || signal.aborted) return
    if (run.ending.code === NORMAL_CLOSURE) return say(run.ending.text)
    if (!run.ending.comeBack || !reconnect) throw new Failure(EXIT.failed, [run.ending.text])
    failures = run.openMs >= STABLE_MS ? 1 : failures + 1
    const waitMs = backoffMs(failures)
    say(`${run.ending.text} Trying again in ${(waitMs / 1000).toFixed(1)} s.`)
    // Rejects when the signal aborts, which the loop sees.
    await delay(waitMs, undefined, { signal }).catch(() => {})
  }
}

/** What became of one connection. */
interface Run {
  readonly printed: number
  /** How long it was open. */
  readonly openMs: number
  /** `null`: it brought as many messages as were wanted. */
  readonly ending: Ending | null
}

async function printAll(connection: ReturnType<Connect>, wanted: number, name: string): Promise<Run> {
  let printed = 0
  let openedAt: number | null = null
  const run = (ending: Ending | null): Run => ({
    printed,
    openMs: openedAt === null ? 0 : performance.now() - openedAt,
    ending,
  })
  for (;;) {
    const step = await connection.next()
    if (step.done === true) return run(step.value)
    if (step.value.kind === 'message') {
      await print(step.value.json)
      printed++
    } else if (step.value.kind === 'open') {
      openedAt = performance.now()
      say(`connected to ${name}`)
    } else {
      say(step.value.text)
    }
    if (printed === wanted) {
      await connection.return(LOST)
      return run(null)
    }
  }
}
