export type Task = () => unknown

/** Hears how the tasks fare. */
export interface InboxOwner {
  /** What a task threw or rejected with. Must not throw. */
  taskFailed(error: unknown): void
  /** A task has run, well or not. */
  taskDone(): void
}

/**
 * The tasks of one connection, run one after another. Every hook of the application is called through here: it handles what a hook
 * throws and what it rejects with, so no promise floats and no failure passes unseen.
 */
export class Inbox {
  readonly #owner: InboxOwner
  #tasks: Task[] | null = null
  /** Where the next task is: taking it from the front of a long array would move all others. */
  #next = 0
  #isRunning = false

  constructor(owner: InboxOwner) {
    this.#owner = owner
  }

  /** Tasks that have not started. */
  get length(): number {
    return this.#tasks === null ? 0 : this.#tasks.length - this.#next
  }

  /** Runs `task` after all before it, never within this call. */
  push(task: Task): void {
    // No array while nothing waits: one that was pushed to keeps room for 17 (bench: idle-memory).
    if (this.#tasks === null) this.#tasks = [task]
    else this.#tasks.push(task)
    if (this.#isRunning) return
    this.#isRunning = true
    // A message is delivered to a whole group before the first handler runs: a handler must not see half a delivery.
    queueMicrotask(() => void this.#run())
  }

  /** Forgets the tasks that have not started. */
  clear(): void {
    this.#tasks = null
    this.#next = 0
  }

  /** Puts others, or none, in the places of tasks that have not started. */
  change(instead: ReadonlyMap<Task, readonly Task[]>): void {
    if (this.#tasks === null) return
    this.#tasks = this.#tasks.slice(this.#next).flatMap((task) => instead.get(task) ?? [task])
    this.#next = 0
  }

  async #run(): Promise<void> {
    for (let task = this.#take(); task !== undefined; task = this.#take()) {
      try {
        const result = task()
        if (result instanceof Promise || isThenable(result)) await result
      } catch (error) {
        this.#owner.taskFailed(error)
      }
      this.#owner.taskDone()
    }
    this.#isRunning = false
  }

  #take(): Task | undefined {
    const task = this.#tasks?.[this.#next]
    if (task === undefined) this.clear()
    else this.#next++
    return task
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}
