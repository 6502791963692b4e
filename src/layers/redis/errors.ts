import { GroupcastError } from '../../errors.ts'

/** What operators must hear of: history that is gone, or may go without a trace. */
export function historyLost(text: string): GroupcastError {
  return new GroupcastError('history-lost', text)
}
