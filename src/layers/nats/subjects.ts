/** How names become NATS subjects. */

/**
 * A name as one token of a subject: what is not of `A-Z a-z 0-9 _ -` as `=` and two hexadecimal digits for each byte. No two names become the same
 * token, and none becomes empty, a wildcard (`*`, `>`) or several tokens (`.`).
 */
export function encodeToken(name: string): string {
  if (PLAIN.test(name)) return name
  let token = ''
  for (const byte of Buffer.from(name)) {
    const character = String.fromCharCode(byte)
    token += PLAIN.test(character) ? character : `=${byte.toString(16).toUpperCase().padStart(2, '0')}`
  }
  return token === '' ? '=' : token
}

/** The name that became this token; `null` for what {@link encodeToken} makes of no name. */
export function decodeToken(token: string): string | null {
  const bytes = token === '=' ? '' : token.replaceAll(ESCAPE, (_, digits: string) => `%${digits}`)
  try {
    const name = decodeURIComponent(bytes)
    return encodeToken(name) === token ? name : null
  } catch {
    return null
  }
}

const PLAIN = /^[A-Za-z0-9_-]+$/
const ESCAPE = /=([0-9A-F]{2})/g

/** The subjects and streams of one layer. All nodes of one prefix are nodes of one layer. */
export class Subjects {
  readonly #prefix: string
  readonly historyStream: string
  readonly queueStream: string
  /** What the stream of history hands on, and groups without history use at once: one subscription covers both. */
  readonly live: string
  /** Tells readers of a channel that something came. */
  readonly wakes: string
  readonly queues: string

  constructor(prefix: string) {
    this.#prefix = prefix
    this.historyStream = `${prefix}-history`
    this.queueStream = `${prefix}-queues`
    this.live = `${prefix}.r`
    this.queues = `${prefix}.q`
    this.wakes = `${prefix}.w`
  }

  /** What comes in a group. */
  group(group: string): string {
    return `${this.live}.g.${encodeToken(group)}`
  }

  queue(channel: string): string {
    return `${this.queues}.${encodeToken(channel)}`
  }

  wake(channel: string): string {
    return `${this.wakes}.${encodeToken(channel)}`
  }

  /** What is pushed to a node. */
  node(nodeId: string, channel: string): string {
    return `${this.#prefix}.n.${encodeToken(nodeId)}.${encodeToken(channel)}`
  }

  nodeWildcard(nodeId: string): string {
    return `${this.#prefix}.n.${encodeToken(nodeId)}.*`
  }

  /** What is to be stored: the subjects of a stream carry its epoch, so that nothing gets into another one unnoticed. */
  stored(epoch: string): string {
    return `${this.#prefix}.h.${epoch}`
  }

  /** On which nodes agree who makes a stream. */
  turn(stream: string): string {
    return `${this.#prefix}.m.${stream}`
  }

  /** What the stream of history stores in every epoch. Nothing is sent there. */
  get claim(): string {
    return `${this.#prefix}.h`
  }

  /** The epoch that the subjects of a stream carry, or `null`. */
  epochIn(subjects: readonly string[]): string | null {
    const start = `${this.claim}.`
    const subject = subjects.find((one) => one.startsWith(start) && one.endsWith('.>'))
    const epoch = subject?.slice(start.length, -2) ?? ''
    return /^[a-z0-9]{1,32}$/.test(epoch) ? epoch : null
  }
}
