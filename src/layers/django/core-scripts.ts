/**
 * Scripts of the core protocol. Each throws away what has expired by the sender's clock and by Redis's own: with one alone, a node whose clock is a
 * minute ahead would empty everybody's queues.
 */

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

/**
 * Appends a message to each of several queues, those that are full excepted. KEYS: the queues. ARGV: the time, the expiry in seconds, then for each
 * queue its capacity and the message. Gives the number of those that were full.
 */
export const APPEND = `${NOW}${SCORE}
local full = 0
for i, key in ipairs(KEYS) do
  if redis.call('ZCOUNT', key, oldest, '+inf') < tonumber(ARGV[2 * i + 1]) then
    -- First of all that writes: only so Redis says that it has no memory left.
    redis.call('ZADD', key, scoreFor(key), ARGV[2 * i + 2])
    purge(key)
    redis.call('EXPIRE', key, math.ceil(tonumber(ARGV[2])))
  else
    full = full + 1
  end
end
return full`

/** Takes the oldest message of a queue. KEYS: the queue. ARGV: the time, the expiry in seconds. Gives the message and its time, or nothing. */
export const TAKE = `${NOW}
purge(KEYS[1])
return redis.call('ZPOPMIN', KEYS[1])`
