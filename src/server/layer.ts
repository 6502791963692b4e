/** The channel layer of a server, as its configuration wants it. */
import { fileJournal } from '../layers/file-journal/index.ts'
import type { ChannelLayer } from '../layers/layer.ts'
import { memoryLayer } from '../layers/memory.ts'
import type { Config } from './config/schema.ts'

/** What a journal needs at least. */
const LEAST_JOURNAL_BYTES = 1024 * 1024

/** Makes the layer; a hub starts it. */
export function layerOf({ journal, maxHistoryBytes }: Config): ChannelLayer {
  if (journal === false) return memoryLayer({ maxHistoryBytes })
  // A third of a journal must hold what is kept, or a restart would forget some of it. What a message costs in memory is more than what it
  // takes in the file.
  const maxBytes = Math.max(3 * maxHistoryBytes, LEAST_JOURNAL_BYTES)
  return memoryLayer({ maxHistoryBytes, journal: fileJournal({ directory: journal, maxBytes }) })
}
