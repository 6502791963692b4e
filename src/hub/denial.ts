/** Whose fault an error is, and what a client is told of it. */
import { ERRORS, type ErrorCode, errorCodeOf, GroupcastError, Refusal } from '../errors.ts'
import type { Denial } from '../transports/backend.ts'

/** The denial of an error's code. */
export function denialOf(
  code: ErrorCode,
  reason: string = ERRORS[code].message,
  retryAfterMs: number | null = null,
): Denial {
  const { closeCode, httpStatus, comeBack } = ERRORS[code]
  return { code, closeCode, httpStatus, comeBack, reason, retryAfterMs }
}

/** Whether an error that came out of a hook says that the client is at fault. */
export function isClientFault(error: unknown): error is Refusal {
  return error instanceof Refusal && errorCodeOf(error) !== null
}

/** Whether an attempt to authenticate failed for what the client gave, rather than for what the server lacks. */
export function isFailedAuthentication(error: unknown): boolean {
  return isClientFault(error) && [401, 403].includes(ERRORS[error.code].httpStatus)
}

/** Whether an error says that the layer's broker cannot be used: a client that comes back later may find it. The layer has reported it. */
export function isOutage(error: unknown): error is GroupcastError {
  const code = errorCodeOf(error)
  return code === 'layer-unavailable' || code === 'layer-timeout'
}

/** What is wrong with what a client sent, as its fault. */
export function asRefusal(error: unknown): unknown {
  if (error instanceof Refusal) return error
  return error instanceof GroupcastError ? new Refusal(error.code, error.message) : error
}
