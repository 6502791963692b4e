/** The options of the memory layer and its broker. */
import { type Clock, systemClock } from '../clock.ts'
import { MisuseError } from '../errors.ts'
import type { MailboxesOptions } from '../mailboxes.ts'
import { quote } from '../names.ts'
import { type ChannelCapacity, COUNT, capacityRule, invalidOption, isCount } from './channel-options.ts'
import type { Journal } from './journal.ts'
import { CHANNEL_DEFAULTS } from './layer.ts'
import type { MemoryHistoryOptions } from './memory-history.ts'

/** How much a memory layer keeps, and how long. */
export interface MemoryBrokerOptions {
  /** Most messages that wait in one channel: 100 unless given. */
  readonly capacity?: number
  /**
   * Other capacities by channel name, as pairs of a pattern and a capacity (a list, a `Map`) or an object. In
   * a pattern `*` stands for any run of characters; the first that matches the whole name wins. Objects keep
   * the order in which they were written, except that names like `7` come first: where that matters, use
   * pairs.
   */
  readonly channelCapacity?: ChannelCapacity
  /** A message that waited longer in a channel is forgotten: 60 000 ms unless given. */
  readonly expiryMs?: number
  /**
   * Most bytes that history takes, of all groups together: 256 MiB unless given. Counted are the JSON, 200 more for each message and 400
   * for each group, about what they take in memory. Beyond it the groups that were quiet longest are forgotten first.
   */
  readonly maxHistoryBytes?: number
  /**
   * Keeps the history on disk too, so that it survives a restart and a `kill -9`: `fileJournal()` of `groupcast/layers/journal`. In memory alone
   * unless given.
   */
  readonly journal?: Journal
  /** Time; tests turn it by hand. */
  readonly clock?: Clock
}

const KNOWN = ['capacity', 'channelCapacity', 'expiryMs', 'maxHistoryBytes', 'journal', 'clock']
/** The default of {@link MemoryBrokerOptions.maxHistoryBytes}. */
export const MAX_HISTORY_BYTES = 256 * 1024 * 1024

/** The options, resolved, for each part of a broker. */
export interface BrokerParts {
  readonly channels: MailboxesOptions
  readonly history: MemoryHistoryOptions
  readonly journal: Journal | null
}

/**
 * Fills in the defaults and checks each option.
 *
 * @throws {MisuseError} (code `invalid-option`) naming the option, its value and what is allowed
 */
export function resolveBrokerOptions(given: MemoryBrokerOptions): BrokerParts {
  const unknown = Object.keys(given).find((name) => !KNOWN.includes(name))
  if (unknown !== undefined) {
    throw new MisuseError(
      'invalid-option',
      `There is no option ${quote(unknown)}. The options are ${KNOWN.join(', ')}.`,
    )
  }
  const { capacity = CHANNEL_DEFAULTS.capacity, expiryMs = CHANNEL_DEFAULTS.expiryMs } = given
  const { channelCapacity, maxHistoryBytes = MAX_HISTORY_BYTES, clock = systemClock, journal = null } = given
  if (!isCount(capacity)) throw invalidOption('capacity', capacity, COUNT)
  if (!Number.isFinite(expiryMs) || expiryMs <= 0) {
    throw invalidOption('expiryMs', expiryMs, 'a number of milliseconds above 0')
  }
  if (!isCount(maxHistoryBytes)) throw invalidOption('maxHistoryBytes', maxHistoryBytes, COUNT)
  if (typeof clock?.now !== 'function' || typeof clock.every !== 'function')
    throw invalidOption('clock', clock, 'a Clock')
  if (journal !== null && typeof journal?.open !== 'function') {
    throw invalidOption('journal', journal, 'a journal, such as fileJournal({ directory })')
  }
  const rule = channelCapacity === undefined ? null : capacityRule(channelCapacity)
  return {
    channels: { capacity: rule === null ? capacity : (name) => rule(name) ?? capacity, expiryMs, clock },
    history: {
      maxBytes: maxHistoryBytes,
      clock,
      newEpoch: () => crypto.randomUUID().replaceAll('-', '').slice(0, 16),
    },
    journal,
  }
}
