import type { Clock } from '../../clock.ts'
import { type Deferred, deferred } from '../broker/deferred.ts'
import type { Subscription, Wire } from './wire.ts'

/** So often a node says that it wants the turn, since the servers of a cluster hear late of who listens elsewhere. */
const ROUNDS = 4
/** After each time it listens for so long: all together decide. */
const ROUND_MS = 30
/** Who makes a stream says so when it is asked; one that is gone does not. So it is asked again. */
const MAKING_MS = 1_000

/** As much of the connection as a turn needs. */
export type TurnWire = Pick<Wire, 'publish' | 'subscribe' | 'flush'>

/**
 * The turn to make a stream, of which at most one node at a time has it. Each says that it wants it, with a random id; who hears of a smaller one lets that node, and
 * who hears nothing has the turn.
 *
 * Nothing that is lost on the way does harm: then two make the stream, as they would without.
 */
export class Turn {
  readonly #wire: TurnWire
  readonly #subject: string
  readonly #clock: Clock
  readonly #id = crypto.randomUUID()
  readonly #onSaid: Readonly<Record<string, (id: string) => void>> = {
    want: (id) => {
      if (this.isOurs) this.#say('make')
      else if (id < this.#id) this.#theirs ??= deferred()
    },
    make: () => {
      if (!this.isOurs) this.#theirs ??= deferred()
    },
    over: () => {
      if (this.isOurs) return
      this.#theirs ??= deferred()
      this.#theirs.resolve()
    },
  }
  #subscription: Subscription | null = null
  #claiming: Promise<void> | null = null
  /** Another node goes first: until its turn is over. */
  #theirs: Deferred<void> | null = null
  #isOurs = false
  #isOver = false
  #stopTimer = () => {}

  /** @param subject that all nodes use which may make the stream, and nothing else does */
  constructor(wire: TurnWire, subject: string, clock: Clock) {
    this.#wire = wire
    this.#subject = subject
    this.#clock = clock
  }

  /** Whether this node may make the stream, unless it is there by now. */
  get isOurs(): boolean {
    return this.#isOurs
  }

  /** Resolves when it is the turn of this node, or that of another one is over or takes long. Then look for the stream again. */
  come(): Promise<void> {
    if (this.isOurs) return Promise.resolve()
    this.#claiming ??= this.#claim().finally(() => {
      this.#claiming = null
    })
    return this.#claiming
  }

  /** To be called in any case: others wait. */
  end(): void {
    if (this.isOurs) this.#say('over')
    this.#isOver = true
    this.#stopTimer()
    this.#subscription?.unsubscribe()
  }

  async #claim(): Promise<void> {
    this.#subscription ??= this.#listen()
    for (let round = 0; round < ROUNDS; round++) {
      this.#say('want')
      // However late this process comes to read: what the server had for it by then has come before the answer.
      await this.#pause(ROUND_MS).then(() => this.#wire.flush())
      if (this.#isOver) return
      if (this.#theirs !== null) return this.#letThem(this.#theirs)
    }
    this.#isOurs = true
    this.#say('make')
  }

  async #letThem(theirs: Deferred<void>): Promise<void> {
    await Promise.race([theirs.promise, this.#pause(MAKING_MS)])
    this.#stopTimer()
    this.#theirs = null
  }

  #listen(): Subscription {
    const onMessage = ({ data }: { readonly data: Uint8Array }) => {
      const [word = '', id = ''] = Buffer.from(data).toString().split(' ')
      if (id !== '' && id !== this.#id && Object.hasOwn(this.#onSaid, word)) this.#onSaid[word]?.(id)
    }
    // Without the permission all is as if nobody said anything.
    return this.#wire.subscribe(this.#subject, onMessage, () => {})
  }

  #say(word: 'want' | 'make' | 'over'): void {
    try {
      this.#wire.publish(this.#subject, `${word} ${this.#id}`)
    } catch {
      // Without a connection there is nobody to tell, and whatever comes next fails.
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#stopTimer = this.#clock.after(ms, resolve)
    })
  }
}
