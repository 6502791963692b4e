import { randomBytes } from 'node:crypto'
import type { HistoryBounds } from '../../history.ts'
import { type Deferred, deferred } from '../broker/deferred.ts'
import { decodeCursor, encodeCursor, type Position } from '../cursor.ts'
import type { Replay, ReplayedPublication, ReplayRequest } from '../layer.ts'
import { FENCE, FLUSH, FORGET, HELLO, PUBLISH, REPLAY, SPAN_MS } from './history-scripts.ts'
import type { Keys } from './keys.ts'
import type { Shard } from './servers.ts'
import type { Wire } from './wire.ts'

/** Groups that one script looks at: while it runs, the server does nothing else. */
const GROUPS_A_SCRIPT = 64

/** What a node that comes back holds of what it missed, at most: about so many characters of JSON. */
const RECOVERY_BYTES = 32 * 1024 * 1024

/** Publications that one script takes, at most, and characters of JSON: while it runs, the server does nothing else. */
const MOST_IN_RUN = 64
const MOST_RUN_SIZE = 64 * 1024

/** Keys that a server looks at in one step of a scan. */
const SCANNED_AT_ONCE = 1000

/** The history of a session: what `history-scripts.ts` does. */
export class RedisHistory {
  readonly #wire: Wire
  readonly #keys: Keys
  readonly #shard: Shard
  readonly #common: readonly [run: string, seed: string, span: number]
  /** What is yet to be sent of this turn. */
  #run: Run | null = null

  /** @param spanMs so long at least it is known what a group had */
  constructor(wire: Wire, keys: Keys, spanMs = SPAN_MS) {
    this.#wire = wire
    this.#keys = keys
    this.#shard = wire.servers.shardOf(keys.state)
    const { runId, replicationId, isDurable, nodeId } = this.#shard.info
    const server = `${replicationId} ${isDurable ? 1 : 0} ${nodeId}`
    this.#common = [runId, `${randomBytes(3).toString('hex')} ${server}`, spanMs]
    wire.beforeSend = () => this.#sendRun()
  }

  /**
   * Begins: the position from which this session's server goes on; of a new epoch where the server may have lost something.
   *
   * @param known the last position that this node has heard of
   */
  async hello(known: Position | null): Promise<Position> {
    const answer = await this.#wire.run(
      HELLO,
      [this.#keys.state],
      ...this.#common,
      this.#shard.info.wasReplica ? 1 : 0,
      known?.epoch ?? '',
      known?.sequence ?? 0,
    )
    const [epoch, sequence] = answer as [string, string]
    return { epoch, sequence: Number(sequence) }
  }

  /**
   * Those of one group that come one after another in a turn of the event loop go out together: most of what each costs the server it costs once.
   *
   * @returns the cursor
   */
  publish(group: string, json: string, bounds: HistoryBounds): Promise<string> {
    const answer = deferred<string>()
    if (this.#run?.takes(group, json, bounds) !== true) {
      this.#sendRun()
      this.#run = new Run(group, bounds)
      // Behind all that this turn has yet to send.
      process.nextTick(() => this.#sendRun())
    }
    this.#run?.add(json, answer)
    return answer.promise
  }

  /** What is gathered goes out before anything else does: the order of one sender. */
  #sendRun(): void {
    const run = this.#run
    if (run === null) return
    this.#run = null
    const { group, bounds } = run
    const keys = this.#keys
    const sending = this.#wire.run(
      PUBLISH,
      [keys.state, keys.hash(group), keys.stream(group)],
      ...this.#common,
      this.#wire.publishCommand,
      keys.group(group, true),
      bounds.count,
      Math.ceil(bounds.ageMs),
      bounds.bytes,
      ...run.texts,
    )
    sending.then(
      (cursors) => run.answered(cursors as string[]),
      (error) => run.failed(error),
    )
  }

  /** What groups kept, all of which keep history. */
  async replay({ groups, after }: ReplayRequest): Promise<Replay> {
    let left: readonly Wanted[] = [...groups]
    const from = fromOf(after)
    const found: Found[] = []
    const lost: string[] = []
    // Without groups it is asked where history stands.
    const start = await this.#replayPart(left, from, '')
    let { hasMore } = start
    left = take(start, left, found, lost)
    while (left.length > 0) {
      // As of the first part: what came since is for those who listen.
      const more = await this.#replayPart(left, from, String(start.sequence))
      // Flushed between the two.
      if (more.epoch !== start.epoch) return this.replay({ groups, after })
      left = take(more, left, found, lost)
      hasMore ||= more.hasMore
    }
    return replayOf(start, found, lost, hasMore)
  }

  /**
   * What groups got while this node was away. Always ends: where that takes too long, or is too much to hold, the groups that are left are lost.
   *
   * @param tooLong resolves when no more is to be read
   */
  async recover(groups: readonly string[], after: string, tooLong: Promise<null>): Promise<Replay> {
    const from = fromOf(after)
    const found: Found[] = []
    const lost: string[] = []
    const start = await this.#replayPart([], from, '')
    let left = groups.map((group): Wanted => [group, null])
    let bytes = 0
    while (left.length > 0) {
      const more = await Promise.race([this.#replayPart(left, from, String(start.sequence)), tooLong])
      if (more === null) break
      if (more.epoch !== start.epoch) return this.recover(groups, after, tooLong)
      for (let at = 2; at < more.found.length; at += 3) bytes += (more.found[at] as string).length
      if (bytes > RECOVERY_BYTES) break
      left = take(more, left, found, lost)
    }
    return replayOf(start, found, [...lost, ...left.map(([group]) => group)], false)
  }

  /** Sends a marker to a channel of this node, with the position. */
  fence(channel: string, marker: string): Promise<unknown> {
    const { publishCommand } = this.#wire
    return this.#wire.run(FENCE, [this.#keys.state], ...this.#common, publishCommand, channel, marker)
  }

  /** Forgets everything and tells all nodes. */
  async flush(): Promise<void> {
    const { publishCommand } = this.#wire
    await this.#wire.run(FLUSH, [this.#keys.state], ...this.#common, publishCommand, this.#keys.all)
    await scan(this.#wire, this.#shard, this.#keys.hashes, async (hashes) => {
      // Of the epoch that has begun they may have something again.
      for (const part of inParts(hashes)) {
        const keys = part.flatMap((hash) => [hash, this.#keys.streamOf(hash)])
        await this.#wire.run(FORGET, [this.#keys.state, ...keys])
      }
    })
  }

  /** Of the first of these groups. */
  async #replayPart(wanted: readonly Wanted[], from: From, upTo: string): Promise<Part> {
    const groups = wanted.slice(0, GROUPS_A_SCRIPT)
    const keys = groups.flatMap(([group]) => [this.#keys.hash(group), this.#keys.stream(group)])
    const limits = groups.map(([, limit]) => limit ?? -1)
    const answer = await this.#wire.run(
      REPLAY,
      [this.#keys.state, ...keys],
      ...this.#common,
      ...from,
      upTo,
      ...limits,
    )
    const [epoch, sequence, lost, hasMore, found, looked] = answer as [
      string,
      string,
      number[],
      number,
      (string | number)[],
      number,
    ]
    return { epoch, sequence: Number(sequence), lost, hasMore: hasMore === 1, found, looked }
  }
}

/** Publications of one group that are sent together. */
class Run {
  readonly group: string
  readonly bounds: HistoryBounds
  readonly texts: string[] = []
  readonly #answers: Deferred<string>[] = []
  #size = 0

  constructor(group: string, bounds: HistoryBounds) {
    this.group = group
    this.bounds = bounds
  }

  /** Whether another publication may go with these. */
  takes(group: string, json: string, { count, ageMs, bytes }: HistoryBounds): boolean {
    const { bounds, texts } = this
    const isOurs =
      group === this.group && count === bounds.count && ageMs === bounds.ageMs && bytes === bounds.bytes
    return isOurs && texts.length < MOST_IN_RUN && this.#size + json.length <= MOST_RUN_SIZE
  }

  add(json: string, answer: Deferred<string>): void {
    this.texts.push(json)
    this.#size += json.length
    this.#answers.push(answer)
  }

  /** @param cursors as the script says it: an error in place of the first that has not been published */
  answered(cursors: readonly string[]): void {
    let refusal: Error | null = null
    for (const [index, { resolve, reject }] of this.#answers.entries()) {
      const cursor = cursors[index] ?? ''
      if (cursor.startsWith('!')) refusal = refused(cursor.slice(1))
      if (refusal === null) resolve(cursor)
      else reject(refusal)
    }
  }

  failed(error: unknown): void {
    for (const { reject } of this.#answers) reject(error)
  }
}

/** An error as Redis answers with. */
function refused(text: string): Error {
  const error = new Error(text)
  error.name = 'ReplyError'
  return error
}

/** Calls `each` with the keys of one server that match a pattern, some at a time; keys that come meanwhile may be among them. */
export async function scan(
  wire: Wire,
  shard: Shard,
  pattern: string,
  each: (keys: string[]) => Promise<void>,
): Promise<void> {
  let cursor = '0'
  do {
    const answer = await wire.send(shard, 'SCAN', cursor, 'MATCH', pattern, 'COUNT', SCANNED_AT_ONCE)
    const [next, keys] = answer as [string, string[]]
    if (keys.length > 0) await each(keys)
    cursor = next
  } while (cursor !== '0')
}

type From = readonly [mode: 'newest' | 'after' | 'unreadable', epoch: string, sequence: number]

interface Part {
  readonly epoch: string
  readonly sequence: number
  readonly lost: readonly number[]
  readonly hasMore: boolean
  /** Three of each publication: the index of its group from 1, its number, its JSON. */
  readonly found: readonly (string | number)[]
  /** Of how many groups it is. */
  readonly looked: number
}

type Wanted = readonly [group: string, limit: number | null]

interface Found {
  readonly group: string
  readonly sequence: number
  readonly json: string
}

function fromOf(after: string | null): From {
  if (after === null) return ['newest', '', 0]
  const position = decodeCursor(after)
  return position === null ? ['unreadable', '', 0] : ['after', position.epoch, position.sequence]
}

function inParts<T>(items: readonly T[]): T[][] {
  const parts: T[][] = []
  for (let start = 0; start < items.length; start += GROUPS_A_SCRIPT) {
    parts.push(items.slice(start, start + GROUPS_A_SCRIPT))
  }
  return parts
}

/** @returns the groups that are left */
function take(part: Part, groups: readonly Wanted[], found: Found[], lost: string[]): Wanted[] {
  const nameOf = (index: number) => (groups[index - 1] as Wanted)[0]
  for (const index of part.lost) lost.push(nameOf(index))
  for (let at = 0; at < part.found.length; at += 3) {
    const [index, sequence, json] = part.found.slice(at, at + 3) as [number, string, string]
    found.push({ group: nameOf(index), sequence: Number(sequence), json })
  }
  return groups.slice(part.looked)
}

function replayOf(
  { epoch, sequence: end }: Part,
  found: readonly Found[],
  lost: readonly string[],
  hasMore: boolean,
): Replay {
  const inOrder = [...found].sort((a, b) => a.sequence - b.sequence)
  const publications = inOrder.map(
    ({ group, sequence, json }): ReplayedPublication => ({
      group,
      publication: { json, cursor: encodeCursor(epoch, sequence) },
    }),
  )
  return {
    publications,
    lost,
    hasMore,
    cursor: encodeCursor(epoch, end),
    covers(cursor) {
      const position = decodeCursor(cursor)
      return position?.epoch === epoch && position.sequence <= end
    },
  }
}
