/** Channels in Redis: the scripts. A channel is a list of `<when it expires, in ms> <JSON>`, in one slot with the channel that wakes its readers. */
import { defineScript } from '../broker/redis-script.ts'

const COMMON = `
local function time()
  local now = redis.call('TIME')
  return tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000)
end
local function isExpired(item, now) return tonumber(string.match(item, '^%d+')) < now end
`

/**
 * Appends a message. Keys: list. Arguments: capacity, expiry in ms, command to publish with, channel that wakes readers, JSON. Answers 0 when the list is full.
 */
export const PUSH = defineScript(`${COMMON}
local list, capacity, now = KEYS[1], tonumber(ARGV[1]), time()
if redis.call('LLEN', list) >= capacity then
  local first = redis.call('LINDEX', list, 0)
  while first and isExpired(first, now) do
    redis.call('LPOP', list)
    first = redis.call('LINDEX', list, 0)
  end
  if redis.call('LLEN', list) >= capacity then return 0 end
end
redis.call('RPUSH', list, string.format('%.0f', now + tonumber(ARGV[2])) .. ' ' .. ARGV[5])
local woken = redis.pcall(ARGV[3], ARGV[4], '')
if type(woken) == 'table' and woken.err then
  -- Not allowed to: then nothing must have happened.
  redis.call('RPOP', list)
  return woken
end
-- A moment longer than its newest message: when that expires is for the comparison above to say.
redis.call('PEXPIRE', list, string.format('%.0f', tonumber(ARGV[2]) + 1000))
return 1
`)

/** Takes messages from the front. Keys: list. Arguments: how many. Answers them as they are in the list. */
export const POP = defineScript(`${COMMON}
local now, items = time(), {}
while #items < tonumber(ARGV[1]) do
  local item = redis.call('LPOP', KEYS[1])
  if not item then break end
  if not isExpired(item, now) then items[#items + 1] = item end
end
return items
`)

/** Puts messages back in front, which nobody had. Keys: list. Arguments: expiry in ms, command to publish with, channel that wakes readers; the messages as they were. */
export const RETURN = defineScript(`
for index = #ARGV, 4, -1 do redis.call('LPUSH', KEYS[1], ARGV[index]) end
local left = redis.call('PTTL', KEYS[1])
if left < tonumber(ARGV[1]) + 1000 then redis.call('PEXPIRE', KEYS[1], string.format('%.0f', tonumber(ARGV[1]) + 1000)) end
return redis.call(ARGV[2], ARGV[3], '')
`)

export const QUEUE_SCRIPTS = [PUSH, POP, RETURN]
