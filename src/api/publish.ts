/** Publishing to many groups at once: a JSON body, or a stream of lines. */
import { ERRORS, Refusal } from '../errors.ts'
import type { Sent } from '../hub/hub-api.ts'
import { parseJson } from '../json.ts'
import { failureOf } from './answers.ts'
import { asBuffer } from './bytes.ts'
import type { RequestBody } from './contract.ts'
import type { KeyGrant } from './keys.ts'
import { type Line, LineReader } from './lines.ts'
import type { Context } from './route.ts'
import { checked, publishSchema } from './schemas.ts'

/** Sends that may wait for the layer at once, for one request. */
const MAX_IN_FLIGHT = 1024

// An error costs several times what a good line does, and the shortest bad line is two bytes: a chunk of those would hold up everybody
// else for most of a second.
const MAX_BAD_IN_TURN = 256

/** Sends messages and writes down what became of each. One for an API; it keeps nothing of a request. */
export class Publisher {
  readonly #context: Context
  readonly #schema: ReturnType<typeof publishSchema>
  // Bound once and shared by all sends: a send costs no closure of its own.
  readonly #failed = (error: unknown): string => this.#errorTail(error)

  constructor(context: Context) {
    this.#context = context
    this.#schema = publishSchema(context.options.maxGroupsPerPublish)
  }

  /**
   * Publishes a JSON body, to the groups that the key is good for. Resolves with the JSON text of the answer.
   *
   * @throws {Refusal} `bad-request` where the body does not have the form of a publish
   */
  async publish(value: unknown, grant: KeyGrant): Promise<string> {
    const sends = new Sends()
    this.#add(sends, '{', value, grant)
    return `{"results":[${await sends.settled()}]}`
  }

  /**
   * Publishes each line as it comes, and gives the answer piece by piece. The next chunk is read when the results of the last have been
   * taken: so a client that does not read its results is not read from either.
   *
   * @throws {ClientGone}
   */
  async *publishLines(body: RequestBody, grant: KeyGrant): AsyncGenerator<string, void, void> {
    const { maxBodyBytes } = this.#context.options
    const reader = new LineReader(maxBodyBytes)
    let separator = '{"results":['
    try {
      for await (const results of this.#results(reader, body, grant)) {
        yield separator + results
        separator = ','
      }
    } catch (error) {
      // The answer has begun, so all that is left is to break it off.
      if (failureOf(error).isInternal) this.#context.report(error, 'publish')
      throw error
    }
    yield separator === ',' ? ']}' : '{"results":[]}'
  }

  async *#results(
    reader: LineReader,
    body: RequestBody,
    grant: KeyGrant,
  ): AsyncGenerator<string, void, void> {
    for await (const chunk of body) {
      const results = await this.#sendAll(reader.read(asBuffer(chunk)), grant)
      if (results !== '') yield results
    }
    const results = await this.#sendAll(reader.end(), grant)
    if (results !== '') yield results
  }

  /**
   * Hands all lines to the hub in this turn, since it batches what one turn brings. When too many are in flight it waits for the layer, not
   * for the reader of the results: with a layer in this process that is still the same turn.
   */
  async #sendAll(lines: Iterable<Line>, grant: KeyGrant): Promise<string> {
    const sends = new Sends()
    const results: string[] = []
    let bad = 0
    for (const line of lines) {
      if (sends.count >= MAX_IN_FLIGHT) results.push(await sends.settled())
      if (this.#addLine(sends, line, grant)) continue
      bad++
      if (bad % MAX_BAD_IN_TURN === 0) await nextTurn()
    }
    if (sends.count > 0) results.push(await sends.settled())
    return results.join(',')
  }

  /** Whether the line was good, or blank: what its sends become is another matter. */
  #addLine(sends: Sends, { number, content }: Line, grant: KeyGrant): boolean {
    if (typeof content === 'string' && isBlank(content)) return true
    const head = `{"line":${number},`
    try {
      if (typeof content !== 'string') throw content
      this.#add(sends, head, parseJson(content, this.#context.hub.limits.maxJsonDepth), grant)
      return true
    } catch (error) {
      sends.add(head, this.#failed(error))
      return false
    }
  }

  #add(sends: Sends, head: string, value: unknown, grant: KeyGrant): void {
    const { groups, message } = checked(this.#schema, value)
    for (const group of groups) {
      sends.add(`${head}"group":${JSON.stringify(group)},`, this.#send(group, message, grant))
    }
  }

  #send(group: string, message: unknown, grant: KeyGrant): string | Promise<string> {
    try {
      if (!grant.allows(group)) return this.#failed(new Refusal('forbidden'))
      // The hub checks that it is a message.
      return this.#context.hub.groupSend(group, message as { type: string }).then(sentTail, this.#failed)
    } catch (error) {
      return this.#failed(error)
    }
  }

  #errorTail(error: unknown): string {
    const { code, detail, isInternal } = failureOf(error)
    if (isInternal) this.#context.report(error, 'publish')
    return `"error":${JSON.stringify({ code, message: detail ?? ERRORS[code].message })}}`
  }
}

/** The results of sends in the order of the sends, as JSON texts: what is known at once, and what the hub's answer adds. */
class Sends {
  #heads: string[] = []
  #tails: (string | Promise<string>)[] = []

  get count(): number {
    return this.#heads.length
  }

  /** `tail` never rejects: a rejection that waits for its turn would count as unhandled. */
  add(head: string, tail: string | Promise<string>): void {
    this.#heads.push(head)
    this.#tails.push(tail)
  }

  /** All results so far, separated by commas; forgets them. */
  async settled(): Promise<string> {
    const heads = this.#heads
    const tails = this.#tails
    this.#heads = []
    this.#tails = []
    let text = ''
    let separator = ''
    for (let i = 0; i < heads.length; i++) {
      const tail = tails[i] ?? ''
      text += separator + heads[i] + (typeof tail === 'string' ? tail : await tail)
      separator = ','
    }
    return text
  }
}

function sentTail({ cursor }: Sent): string {
  return cursor === null ? '"cursor":null}' : `"cursor":${JSON.stringify(cursor)}}`
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}

// White space of JSON (RFC 8259, section 2).
const BLANK = /^[ \t\r]*$/

function isBlank(text: string): boolean {
  // A line nearly always starts with its brace.
  return text.charCodeAt(0) !== 0x7b && BLANK.test(text)
}
