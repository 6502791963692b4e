/** `groupcast subscribe`: prints the messages of groups as they come. */
import { setTimeout as delay } from 'node:timers/promises'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { badName, isGroupName } from '../names.ts'
import type { Transport } from '../wire/wire-format.ts'
import { EXIT, Failure } from './failure.ts'
import { authorization, DEFAULT_URL, parseServerUrl, urlOf } from './http.ts'
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
  readonly history?: number
  readonly cursor?: string
  readonly token?: string
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
    .option('--history <n>', 'Begin with the newest messages of each group, so many.', parseCount)
    .addOption(
      new Option('--cursor <cursor>', 'Begin with what came after this cursor, as publish prints it.')
        .argParser(parseCursor)
        .conflicts('history'),
    )
    .option('--token <token>', 'Token; other users can see flags, so prefer the variable GROUPCAST_TOKEN.')
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

function parseCursor(text: string): string {
  if (/^[A-Za-z0-9._~-]{1,128}$/.test(text)) return text
  throw new InvalidArgumentError('Give a cursor as publish prints it.')
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
  if (options.history !== undefined) query.set('history', String(options.history))
  const target = {
    url: urlOf(options.url, options.path, query),
    envelope: options.envelope === true,
    authorization: authorization('token', options.token ?? process.env.GROUPCAST_TOKEN),
    cursor: options.cursor ?? null,
  }
  await follow(target, options, abortOnSignal())
}

/** Aborts at the first signal to stop; the next one ends the program as if nobody had listened. */
function abortOnSignal(): AbortSignal {
  const controller = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => controller.abort())
  return controller.signal
}

/** Prints messages, connecting again where it was as often as allowed, until there are enough or the signal aborts. */
async function follow(target: Target, options: SubscribeOptions, signal: AbortSignal): Promise<void> {
  const { transport, reconnect, count = Number.POSITIVE_INFINITY } = options
  let left = count
  let failures = 0
  let { cursor } = target
  while (!signal.aborted) {
    const run = await printAll(
      CONNECTS[transport]({ ...target, cursor }, signal),
      left,
      `${target.url} (${transport})`,
    )
    left -= run.printed
    cursor = run.cursor ?? cursor
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
  /** Where it was at the end, if the server said. */
  readonly cursor: string | null
  /** How long it was open. */
  readonly openMs: number
  /** `null`: it brought as many messages as were wanted. */
  readonly ending: Ending | null
}

async function printAll(connection: ReturnType<Connect>, wanted: number, name: string): Promise<Run> {
  let printed = 0
  let openedAt: number | null = null
  let cursor: string | null = null
  const run = (ending: Ending | null): Run => ({
    printed,
    cursor,
    openMs: openedAt === null ? 0 : performance.now() - openedAt,
    ending,
  })
  for (;;) {
    const step = await connection.next()
    if (step.done === true) return run(step.value)
    const { value } = step
    if (value.kind === 'open') {
      openedAt = performance.now()
      say(`connected to ${name}`)
      continue
    }
    if (value.kind === 'notice') say(value.text)
    if (value.kind === 'message') {
      await print(value.json)
      printed++
    }
    cursor = value.cursor ?? cursor
    if (printed === wanted) {
      await connection.return(LOST)
      return run(null)
    }
  }
}
