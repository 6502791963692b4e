/** What commands write: results to stdout, everything else to stderr. */
import { once } from 'node:events'

/** Writes one line to stdout. Resolves when there is room for more. */
export async function print(line: string): Promise<void> {
  if (!process.stdout.write(`${line}\n`)) await once(process.stdout, 'drain')
}

/** Writes one line to stderr, after the program's name. */
export function say(text: string): void {
  process.stderr.write(`groupcast: ${oneLine(text)}\n`)
}

const LONGEST_LINE = 1000

/**
 * A text that fits on one line of a terminal. Some of it was sent by servers: control characters could rewrite what is on the
 * screen.
 */
export function oneLine(text: string): string {
  const line = text.replace(/[\p{Cc}\u2028\u2029]+/gu, ' ').trim()
  return line.length > LONGEST_LINE ? `${line.slice(0, LONGEST_LINE - 1)}…` : line
}

/**
 * Lets the program end well when whoever reads its output has gone (`groupcast subscribe a | head -1`); without this, the
 * broken pipe would be an error with a stack.
 */
export function endWithReader(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    process.exit(error.code === 'EPIPE' ? 0 : 1)
  })
}
