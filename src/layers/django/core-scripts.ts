/**
 * Scripts of the core protocol. Each throws away what has expired by the sender's clock and by Redis's own: with one alone, a node whose clock is a
 * minute ahead would empty everybody's queues.
 */

import { defineScript } from '../broker/redis-script.ts'

const NOW = `
local time = redis.call('TIME')
local now = math.min(tonumber(ARGV[1]), time[1] + time[2] / 1000000)
local oldest = string.format('%.6f', now - tonumber(ARGV[2]))
local function purge(key)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', '(' .. oldest)
end
`

/** Behind all that waits: clocks of several senders differ by more than messages are apart. Not behind one of a clock that is far ahead. */
const SCORE = `
local function scoreFor(key)
  local newest = redis.call('ZREVRANGE', key, 0, 0, 'WITHSCORES')[2]
  local ahead = newest and tonumber(newest) - tonumber(ARGV[1]) or -1
  if ahead < 0 or ahead > 1 then return ARGV[1] end
  return string.format('%.17g', tonumber(newest) + 0.000001)
end
`

/** What became of a message for one queue, as {@link APPEND} says it. */
export const FULL = 1
export const GONE = 2

/**
 * Appends a message to each of several queues. KEYS: the queues. ARGV: the time, the expiry in seconds, then for each queue its capacity, the mark of
 * the node that reads it (empty for none), and the message. Gives for each queue 0, or {@link FULL}, or {@link GONE}: the node has no mark any more.
 */
export const APPEND = defineScript(`${NOW}${SCORE}
local function append(key, capacity, mark, message)
  if mark ~= '' and redis.call('EXISTS', mark) == 0 then return ${GONE} end
  if redis.call('ZCOUNT', key, oldest, '+inf') >= tonumber(capacity) then return ${FULL} end
  -- First of all that writes: only so Redis says that it has no memory left.
  redis.call('ZADD', key, scoreFor(key), message)
  purge(key)
  redis.call('EXPIRE', key, math.ceil(tonumber(ARGV[2])))
  return 0
end
local results = {}
for i, key in ipairs(KEYS) do
  results[i] = append(key, ARGV[3 * i], ARGV[3 * i + 1], ARGV[3 * i + 2])
end
return results`)

/** Takes the oldest message of a queue. KEYS: the queue. ARGV: the time, the expiry in seconds. Gives the message and its time, or nothing. */
export const TAKE = defineScript(`${NOW}
purge(KEYS[1])
return redis.call('ZPOPMIN', KEYS[1])`)

export const CORE_SCRIPTS = [APPEND, TAKE]
