import { GroupcastError, MisuseError } from '../errors.ts'
import type { AnyMessages } from '../message.ts'
import { quote } from '../names.ts'
import { assertKnownOptions } from '../options.ts'
import type { History, HistoryQuery } from './hub-api.ts'
import type { Recall } from './recall.ts'

const DEFAULT_LIMIT = 100

/** See `Hub.history`. */
export async function readHistory(
  recall: Recall,
  group: string,
  query: HistoryQuery,
): Promise<History<AnyMessages>> {
  const { after = null, limit } = checkedQuery(query)
  if (!recall.keepsHistory(group)) throw new GroupcastError('history-not-available')
  const { publications, lost, cursor, hasMore } = await recall.read(group, { after, limit })
  if (lost.length > 0) throw new GroupcastError('history-lost')
  const messages = publications.map(({ publication: { json, cursor } }) => ({
    cursor: cursor ?? '',
    message: JSON.parse(json) as { type: string },
  }))
  // A page that ends early: what comes next is after its last message.
  const last = after !== null && hasMore ? messages.at(-1)?.cursor : undefined
  return { messages, cursor: last ?? cursor, hasMore }
}

function checkedQuery(query: HistoryQuery): { after: string | null; limit: number } {
  assertKnownOptions('history', query, ['after', 'limit'])
  const { after = null, limit = DEFAULT_LIMIT } = query
  if (after !== null && typeof after !== 'string') {
    throw new MisuseError('invalid-option', `after is ${quote(after)}: it must be a cursor.`)
  }
  if (Number.isSafeInteger(limit) && limit >= 1) return { after, limit }
  throw new MisuseError('invalid-option', `limit is ${quote(limit)}: it must be a whole number from 1.`)
}
