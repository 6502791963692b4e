/** Progress of a load: one line that changes on a terminal, a line every few seconds elsewhere. */
import type { WriteStream } from 'node:tty'
import type { LoadProgress } from '../load/index.ts'

const PLAIN_EVERY_MS = 2_000
const CLEAR_LINE = '\r\x1b[2K'

/** @returns what to call with each progress */
export function benchProgress(
  stream: Pick<WriteStream, 'write' | 'isTTY' | 'columns'>,
): (progress: LoadProgress) => void {
  let shownMs = Number.NEGATIVE_INFINITY
  let lastPhase: string | null = null
  return (progress) => {
    const line = progressText(progress)
    if (stream.isTTY) {
      // The figures come next, on a line of their own.
      const isEnd = progress.phase === 'done'
      stream.write(CLEAR_LINE + (isEnd ? '' : line.slice(0, Math.max(20, (stream.columns ?? 80) - 1))))
      return
    }
    if (progress.phase === lastPhase && progress.elapsedMs - shownMs < PLAIN_EVERY_MS) return
    shownMs = progress.elapsedMs
    lastPhase = progress.phase
    if (progress.phase !== 'done') stream.write(`${line}\n`)
  }
}

function progressText({
  phase,
  clients,
  connected,
  failed,
  published,
  messages,
  received,
  elapsedMs,
}: LoadProgress): string {
  const start = `${(elapsedMs / 1000).toFixed(1)} s  ${phase}`
  const clientsText = `${connected} of ${clients} clients${failed > 0 ? `, ${failed} failed` : ''}`
  if (phase === 'connecting') return `${start}: ${clientsText}`
  return `${start}: ${clientsText}, ${published} of ${messages} messages, ${received.toLocaleString('en')} deliveries`
}
