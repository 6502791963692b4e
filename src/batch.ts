import type { Frame } from './frame.ts'
import type { WireFormat } from './wire/wire-format.ts'

/**
 * The run of frames that a connection will get in one write, as a node of a trie: a batch is its parent's run and one frame
 * more. Connections whose pending frames are equal hold the same batch, so its bytes are concatenated once, and a message to
 * a thousand connections costs each of them one call of `append` that finds the child made for the first.
 * Order is exact for each connection, however groups overlap.
 */
export class Batch {
  readonly format: WireFormat
  /** Bytes of all frames of the run, unsealed. */
  readonly size: number
  /** Frames in the run. */
  readonly length: number
  #parent: Batch | null
  #frame: Frame | null
  /** All frames, in place of `#parent` and `#frame`, of a batch that waits. */
  #run: readonly Frame[] | null = null
  // The child for the last frame appended, in two fields: while a message goes through a group, every member but the
  // first takes this way (bench: fan-out, 1 group).
  #lastFrame: Frame | null = null
  #lastChild: Batch | null = null
  // The other children, where runs part: connections in overlapping groups.
  #children: Map<Frame, Batch> | null = null
  #bytes: Buffer | null = null
  /** The same bytes, while links have yet to send them. */
  #unsent: Unsent | null = null
  /** The run as a list, for back ends that write frame by frame. */
  #list: readonly Frame[] | null = null
  /** How many outboxes wait to write this very batch, or what it has grown to. */
  holders = 0
  /** Whether a message that newer ones may replace is in the run, by the policy of its group. */
  readonly hasLatest: boolean
  /** Batches of this turn that have children. */
  readonly #grown: Batch[]

  private constructor(format: WireFormat, parent: Batch | null, frame: Frame | null, grown: Batch[]) {
    this.format = format
    this.#grown = grown
    this.hasLatest = parent?.hasLatest === true || frame?.publication?.slow === 'latest'
    this.#parent = parent
    this.#frame = frame
    this.size = parent === null || frame === null ? 0 : parent.size + frame.bytes.length
    this.length = parent === null ? 0 : parent.length + 1
  }

  /**
   * An empty run, from which all batches of one format and one turn of the event loop descend.
   *
   * @param grown gets the batches that have children, for {@link forgetChildren} at the end of the turn
   */
  static root(format: WireFormat, grown: Batch[] = []): Batch {
    return new Batch(format, null, null, grown)
  }

  /** The batch with `frame` after this one's frames. Frames are compared by identity. */
  append(frame: Frame): Batch {
    if (frame === this.#lastFrame) return this.#lastChild as Batch
    return this.#appendOther(frame)
  }

  #appendOther(frame: Frame): Batch {
    let child = this.#children?.get(frame)
    if (child === undefined) {
      child = new Batch(this.format, this, frame, this.#grown)
      if (this.#lastChild === null) this.#grown.push(this)
      if (this.#lastChild !== null && this.#lastFrame !== null) {
        this.#children ??= new Map()
        this.#children.set(this.#lastFrame, this.#lastChild)
        this.#children.set(frame, child)
      }
    }
    this.#lastFrame = frame
    this.#lastChild = child
    return child
  }

  /** The bytes on the wire: all frames in order, sealed. Made once, kept until `release`, and for as long as a link has them. */
  bytes(): Buffer {
    if (this.#bytes === null) this.#bytes = this.#unsent?.bytes ?? this.#sealed()
    return this.#bytes
  }

  /**
   * A link was given its bytes and has yet to send them: whoever writes this batch meanwhile gives its link the same. To be called in the turn
   * of the write; `letGo` of what it returns ends it.
   */
  leaveInLink(): Unsent {
    const bytes = this.bytes()
    if (this.#unsent === null || this.#unsent.bytes !== bytes) {
      const frame = this.length === 1 ? (this.frames()[0] as Frame) : null
      this.#unsent = new Unsent(bytes, frame?.bytes === bytes ? frame : null)
    }
    this.#unsent.links++
    return this.#unsent
  }

  /** The frames, oldest first, for back ends that cannot be given framed bytes. Made once, kept until `release`. */
  list(): readonly Frame[] {
    this.#list ??= this.#run ?? this.frames()
    return this.#list
  }

  /** Forgets the concatenated bytes; the frames stay for connections that have yet to write them. */
  release(): void {
    this.#bytes = null
    this.#list = null
  }

  /** The frames, oldest first, in a list of its own. */
  frames(): Frame[] {
    const frames = new Array<Frame>(this.length)
    let node: Batch = this
    while (node.#parent !== null && node.#frame !== null) {
      frames[node.length - 1] = node.#frame
      node = node.#parent
    }
    // One that waits elsewhere, and went on here.
    const run = node.#run
    if (run !== null) for (let i = 0; i < run.length; i++) frames[i] = run[i] as Frame
    return frames
  }

  /**
   * The bytes of a batch that waits, shared out among all who wait for the same. Its frames may be in other batches, too, when others got
   * something else before: a look at the one in the middle tells in how many. The first is often for one client alone.
   */
  get share(): number {
    const middle = this.#run?.[this.length >> 1]
    return this.size / Math.max(1, this.holders) / Math.max(1, middle?.holders ?? 1)
  }

  /** It is to wait: keeps its frames alone, not the batch that led to it for each of them. */
  settle(): void {
    if (this.#run !== null) return
    this.#run = this.frames()
    this.#parent = null
    this.#frame = null
  }

  /** The turn is over: no other connection will get the same run. What is held longer must not keep alive what the turn brought to others. */
  forgetChildren(): void {
    this.#lastFrame = null
    this.#lastChild = null
    this.#children = null
  }

  #sealed(): Buffer {
    const run = this.#concat()
    return this.format.seal === undefined ? run : this.format.seal(run)
  }

  #concat(): Buffer {
    if (this.length === 1 && this.#frame !== null) return this.#frame.bytes
    if (this.length === 1 && this.#run !== null) return (this.#run[0] as Frame).bytes
    return Buffer.concat(
      this.frames().map((frame) => frame.bytes),
      this.size,
    )
  }
}

/** Bytes of a batch that links were given and have yet to send: one copy, however many links it is in. It keeps no frame alive but its own. */
export class Unsent {
  readonly size: number
  /** Whose bytes they are, where they are those of one frame and no copy. */
  readonly frame: Frame | null
  /** How many links have them. */
  links = 0
  /** In how many of these they count; see `Backlog`. */
  counted = 0
  #bytes: Buffer | null

  constructor(bytes: Buffer, frame: Frame | null) {
    this.#bytes = bytes
    this.size = bytes.length
    this.frame = frame
  }

  /** `null` when no link has them any more. */
  get bytes(): Buffer | null {
    return this.#bytes
  }

  /** A link has sent them, or has ended. */
  letGo(): void {
    if (--this.links === 0) this.#bytes = null
  }
}

/**
 * Frames that follow each other for whole groups of connections. Appended at once: members that have the same batch pending, as
 * they usually have, find what the first one's append made, however many frames it is.
 */
export class FrameRun {
  readonly frames: readonly Frame[]
  #last: Batch | null = null
  #lastNext: Batch | null = null

  constructor(frames: readonly Frame[]) {
    this.frames = frames
  }

  /** The batch with these frames after those of `batch`. */
  after(batch: Batch): Batch {
    if (batch === this.#last) return this.#lastNext as Batch
    let next = batch
    for (const frame of this.frames) next = next.append(frame)
    this.#last = batch
    this.#lastNext = next
    return next
  }
}
