/** How a command ends other than well: thrown by commands, told by `main.ts` without a stack. */

/** What the shell sees. */
export const EXIT = Object.freeze({ done: 0, failed: 1, usage: 2 })

/** An expected failure: each text becomes one line on stderr. */
export class Failure extends Error {
  override readonly name = 'Failure'
  readonly exitCode: number
  readonly texts: readonly string[]

  /** @param exitCode `EXIT.failed`, or `EXIT.usage` where the command itself was wrong */
  constructor(exitCode: number, texts: readonly string[]) {
    super(texts.join(' '))
    this.exitCode = exitCode
    this.texts = texts
  }
}
