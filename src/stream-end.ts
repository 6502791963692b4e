/** How streams end, and what readers are told of one that does not come to its end. */
import { ERRORS, type ErrorCode, errorCodeOf, GroupcastError, Refusal } from './errors.ts'

/** How a stream ended: its readers have the whole; they left before; the source failed; the application's signal aborted. */
export type StreamOutcome = 'complete' | 'left' | 'failed' | 'aborted'

/** Why a stream ended early: a code of the error table, and a text that readers may see. */
export interface StreamError {
  readonly code: ErrorCode
  readonly message: string
}

/** The stream was ended from outside; nothing is wrong with its source. */
export class StreamStopped extends GroupcastError {
  override readonly name = 'StreamStopped'

  constructor(code: 'stream-aborted' | 'restarting') {
    super(code)
  }
}

/** What is told of an error: a {@link Refusal} speaks for itself, of all else only the table's text leaves the process. */
export function streamErrorOf(error: unknown): StreamError {
  if (error instanceof StreamStopped) return { code: error.code, message: error.message }
  if (isRefusal(error)) return { code: error.code, message: error.reason }
  return { code: 'stream-failed', message: ERRORS['stream-failed'].message }
}

/** Whether somebody inside must hear of an error, since nobody outside is told what it was. */
export function isInternal(error: unknown): boolean {
  return !(error instanceof StreamStopped) && !isRefusal(error)
}

function isRefusal(error: unknown): error is Refusal {
  return error instanceof Refusal && errorCodeOf(error) !== null
}
