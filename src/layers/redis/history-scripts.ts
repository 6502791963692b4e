/**
 * History in Redis: the scripts. Redis runs a script as one step, so the number that a publication gets, what is kept and what nodes hear
 * always fit together.
 *
 * Keys, all in one slot of a Cluster (`keys.ts`):
 *
 * - the state, a hash: `epoch` and `seq`, the last number that was given; `run`, the server process that gave it, and `server`, what else was known of it; `voids`,
 *   ranges of numbers that were never given; `t0 h0 t1 h1`, what the last number was at two moments at least a span apart.
 * - of each group a stream (id: the number; `t`: when, `p`: the group's number before, `j`: the JSON) and a hash, which outlives it: `epoch`, `last`: its
 *   last number, `gone`: what is up to there may be gone, as is all up to `p` of the first entry; `count` of the stream, and `bytes`, or -1 while nobody needs
 *   to know; `largest`: bytes of its largest entry; `oldest`: when its first entry came, or one before it; `age`: how long entries are kept, `until`: when the stream expires.
 *
 * Each script gets the server's `run`, and a `seed` for a new epoch: random text and `server`, which is `<replication id> <1: has an append-only file> <node of a Cluster>`.
 *
 * What Redis evicts, expires or flushes on its own is found out by comparing: a stream with another length than its hash says is gone as a whole,
 * a hash of another epoch does not count, and without a state there is a new epoch.
 */
import { defineScript } from '../broker/redis-script.ts'

/** Numbers that a server skips after a restart: more than it can have given without anybody knowing. */
export const SKIPPED = 1_000_000

/** Voids that are remembered; of more, the oldest two are taken as one, with what is between them. */
const MOST_VOIDS = 32

/** Of which one answer has not much more: it must be made, sent and read in one go. */
const PART_BYTES = 2 * 1024 * 1024

/** So long at least it is known what a group had: hashes of groups live twice as long. */
export const SPAN_MS = 24 * 60 * 60 * 1000

// Numbers become text by hand: Lua's own conversion keeps 14 digits.
const COMMON = `
local function text(number) return string.format('%.0f', number) end
local function time()
  local now = redis.call('TIME')
  return tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000)
end
-- With the time in its name, an epoch is another one than any before, also where the random part is the same.
local function begin(key, seed, run, now)
  local clock = redis.call('TIME')
  local random, server = string.match(seed, '^(%w+) (.*)$')
  local epoch = random .. string.format('%x', tonumber(clock[1]) * 1000000 + tonumber(clock[2]))
  redis.call('DEL', key)
  redis.call('HSET', key, 'epoch', epoch, 'seq', '0', 'run', run, 'server', server, 'voids', '',
    't0', text(now), 'h0', '0', 't1', text(now), 'h1', '0')
  return epoch
end
-- Moments a span apart at which the last number is written down.
local function rotate(key, t0, seq, now, span)
  if now - tonumber(t0) < span then return end
  local marks = redis.call('HMGET', key, 't0', 'h0')
  redis.call('HSET', key, 't1', marks[1], 'h1', marks[2], 't0', text(now), 'h0', text(seq))
end
-- Of a group without a hash nothing is known up to here: its hash may have expired.
local function horizon(key, seq, now, span)
  local marks = redis.call('HMGET', key, 't0', 'h0', 't1', 'h1')
  if tonumber(marks[3]) >= now - 2 * span then return tonumber(marks[4]) end
  if tonumber(marks[1]) >= now - 2 * span then return tonumber(marks[2]) end
  return seq
end
local STALE = 'STALE the server that numbers publications is another one than this session began with'
`

/**
 * Begins a session. Keys: state. Arguments: run, seed, span, whether the server was a replica before; epoch and number of the last position that this node knows. Answers the epoch
 * and the last number.
 *
 * Whoever has a cursor of before goes on only where it is proved that this server has all that was acknowledged: it is the process that gave the last numbers and has not been a replica
 * since, or it and that one write an append-only file. What a node knows may prove the contrary all the same.
 */
export const HELLO = defineScript(`${COMMON}
local key, run, now, span = KEYS[1], ARGV[1], time(), tonumber(ARGV[3])
local state = redis.call('HMGET', key, 'epoch', 'seq', 'run', 'voids', 't0', 'server')
if not state[1] then
  return {begin(key, ARGV[2], run, now), '0'}
end
local seq = tonumber(state[2])
local server = string.match(ARGV[2], ' (.*)$')
local replication, file, node = string.match(server, '^(%S*) (%S*) (%S*)$')
local lastReplication, lastFile, lastNode = string.match(state[6] or '', '^(%S*) (%S*) (%S*)$')
local wasReplica = ARGV[4] == '1'
local isProven
if state[3] == run then
  isProven = not wasReplica or replication == lastReplication
else
  isProven = not wasReplica and file == '1' and lastFile == '1' and node == lastNode
end
local known = ARGV[5] == state[1] and tonumber(ARGV[6]) or 0
if known > seq then isProven = false end
for from, to in string.gmatch(state[4], '(%d+)-(%d+)') do
  if known > tonumber(from) and known < tonumber(to) then isProven = false end
end
if not isProven then
  return {begin(key, ARGV[2], run, now), '0'}
end
redis.call('HSET', key, 'server', server)
if state[3] ~= run then
  -- The file may lack the end all the same, and nobody have come yet who knows it. No number is given twice.
  local voids = {}
  for from, to in string.gmatch(state[4], '(%d+)-(%d+)') do voids[#voids + 1] = {from, to} end
  voids[#voids + 1] = {text(seq), text(seq + ${SKIPPED})}
  while #voids > ${MOST_VOIDS} do
    voids[2][1] = voids[1][1]
    table.remove(voids, 1)
  end
  seq = seq + ${SKIPPED}
  local parts = {}
  for i, void in ipairs(voids) do parts[i] = void[1] .. '-' .. void[2] end
  redis.call('HSET', key, 'seq', text(seq), 'run', run, 'voids', table.concat(parts, ' '))
end
rotate(key, state[5], seq, now, span)
return {state[1], text(seq)}
`)

/**
 * Publishes to a group that keeps history, one or more in their order. Keys: state, hash, stream. Arguments: run, seed, span, command to publish with, channel,
 * count, age in ms, bytes, and the JSON of each. Answers the cursor of each; an error reply means that nothing has happened, and a text behind `!` in
 * place of a cursor that nothing has of this one and those behind it.
 */
export const PUBLISH = defineScript(`${COMMON}
local key, hash, stream, run, span = KEYS[1], KEYS[2], KEYS[3], ARGV[1], tonumber(ARGV[3])
local mostCount, age, mostBytes = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local now = time()
local state = redis.call('HMGET', key, 'epoch', 'run', 'seq', 't0')
local epoch = state[1]
if not epoch then
  epoch = begin(key, ARGV[2], run, now)
elseif state[2] ~= run then
  return redis.error_reply(STALE)
else
  rotate(key, state[4], tonumber(state[3]), now, span)
end
local seq = redis.call('HINCRBY', key, 'seq', #ARGV - 8) - #ARGV + 8

local known = redis.call('HMGET', hash, 'epoch', 'last', 'gone', 'count', 'bytes', 'oldest', 'until', 'age', 'largest')
local isKnown = known[1] == epoch
local last, gone, count, bytes, oldest, lives, largest = '0', 0, 0, 0, now, 0, 0
if isKnown then
  last, gone = known[2], tonumber(known[3])
  count, bytes, oldest = tonumber(known[4]), tonumber(known[5]), tonumber(known[6])
  if tonumber(known[8]) == age then lives = tonumber(known[7]) end
  largest = tonumber(known[9])
else
  redis.call('DEL', stream)
  gone = horizon(key, seq, now, span)
end

local came, cursors = text(now), {}
for index = 9, #ARGV do
  local json = ARGV[index]
  local size = #json
  seq = seq + 1
  local id = text(seq)
  local isKept = size <= mostBytes
  if isKept then
    local entry = id .. '-0'
    -- Expired or evicted, it is not made anew as if nothing were missing.
    local isAdded = count > 0 and redis.call('XADD', stream, 'NOMKSTREAM', entry, 't', came, 'p', last, 'j', json)
    if not isAdded then
      gone, count, bytes, lives = math.max(gone, tonumber(last)), 0, 0, 0
      redis.call('XADD', stream, entry, 't', came, 'p', last, 'j', json)
    end
  end
  local cursor = epoch .. '.' .. id
  local published = redis.pcall(ARGV[4], ARGV[5], cursor .. ' ' .. last .. ' ' .. json)
  if type(published) == 'table' and published.err then
    -- Not allowed to: then it must not be kept either.
    if isKept then redis.call('XDEL', stream, id .. '-0') end
    if index == 9 then return published end
    cursors[#cursors + 1] = '!' .. published.err
    break
  end
  cursors[#cursors + 1] = cursor
  last = id
  largest = math.max(size, largest)
  if isKept then
    if count == 0 then oldest = now end
    count = count + 1
    if bytes >= 0 then bytes = bytes + size end
  else
    redis.call('DEL', stream)
    gone, count, bytes, lives = seq, 0, 0, 0
  end
end

-- From the front, as far as the bounds want it.
local function trim()
  if bytes < 0 and mostCount * largest > mostBytes then
    bytes = 0
    for _, one in ipairs(redis.call('XRANGE', stream, '-', '+')) do bytes = bytes + #one[2][6] end
  end
  local from = '-'
  while true do
    local two = redis.call('XRANGE', stream, from, '+', 'COUNT', 2)
    local first, second = two[1], two[2]
    oldest = tonumber(first[2][2])
    if count <= mostCount and bytes <= mostBytes and now - oldest < age then break end
    count = count - 1
    if bytes >= 0 then bytes = bytes - #first[2][6] end
    gone = tonumber(string.match(first[1], '%d+'))
    from = second[1]
  end
  if from ~= '-' then redis.call('XTRIM', stream, 'MINID', from) end
end

if count > 0 then
  if mostCount * largest > mostBytes or now - oldest >= age then
    trim()
  elseif count > mostCount then
    -- Most groups: so small that bytes never bind, and of what is dropped nothing needs to be read.
    redis.call('XTRIM', stream, 'MAXLEN', mostCount)
    count, bytes = mostCount, -1
  end
end
-- Both live a little longer than they must, so that not each publication prolongs that: what is too old is for comparisons to say.
local slack = math.floor(age / 8) + 1
local isProlonged = lives < now + age
if isProlonged then lives = now + age + slack end
-- What is as it was is not written again: to make a text of a number costs as much as to write it.
local fields, written = {'gone', 'count', 'bytes', 'oldest', 'until', 'age', 'largest'}, {'last', last}
local numbers = {gone, count, bytes, oldest, count > 0 and lives or 0, age, largest}
for i, number in ipairs(numbers) do
  if not isKnown or tonumber(known[i + 2]) ~= number then
    written[#written + 1] = fields[i]
    written[#written + 1] = text(number)
  end
end
if not isKnown then
  written[#written + 1] = 'epoch'
  written[#written + 1] = epoch
end
redis.call('HSET', hash, unpack(written))
if isProlonged then
  redis.call('PEXPIREAT', stream, text(lives))
  redis.call('PEXPIRE', hash, text(math.max(2 * span, age) + span / 8 + slack))
end
return cursors
`)

/**
 * What groups kept. Keys: state; hash and stream of each group. Arguments: run, seed, span; `newest`, `after` or `unreadable`; epoch and number
 * of the cursor; the last number that counts, or nothing; the limit of each group, -1 for none. Answers the epoch; the last number; the indices of the groups that lost something, from 1;
 * whether a limit left something out; of each publication the index of its group, its number and its JSON; and at how many groups it looked: at no more once
 * it has found {@link PART_BYTES}. Changes nothing that is there.
 */
export const REPLAY = defineScript(`${COMMON}
local key, run, span, mode, now = KEYS[1], ARGV[1], tonumber(ARGV[3]), ARGV[4], time()
local state = redis.call('HMGET', key, 'epoch', 'run', 'seq', 'voids')
if not state[1] then
  state = {begin(key, ARGV[2], run, now), run, '0', ''}
end
if state[2] ~= run then return redis.error_reply(STALE) end
local epoch, seq, after = state[1], tonumber(state[3]), tonumber(ARGV[6])
local isLost = mode == 'unreadable' or (mode == 'after' and (ARGV[5] ~= epoch or after > seq))
if mode == 'after' and not isLost then
  for from, to in string.gmatch(state[4], '(%d+)-(%d+)') do
    if after > tonumber(from) and after < tonumber(to) then isLost = true end
  end
end
local upTo = ARGV[7] == '' and '+' or ARGV[7] .. '-0'
local lost, found, hasMore, bytes, looked = {}, {}, 0, 0, 0

local function take(index, entries, limit, first, step)
  local taken = 0
  local given = {}
  for i = first, #entries do
    local entry = entries[i]
    if taken == limit then
      hasMore = 1
      break
    end
    taken = taken + 1
    given[taken] = entry
  end
  for i = step == 1 and 1 or taken, step == 1 and taken or 1, step do
    found[#found + 1] = index
    found[#found + 1] = string.match(given[i][1], '%d+')
    found[#found + 1] = given[i][2][6]
    bytes = bytes + #given[i][2][6]
  end
end

local function range(command, stream, from, to, limit)
  if limit < 0 then return redis.call(command, stream, from, to) end
  -- One more tells whether there is more.
  return redis.call(command, stream, from, to, 'COUNT', limit + 1)
end

for index = 1, (#KEYS - 1) / 2 do
  if bytes >= ${PART_BYTES} then break end
  looked = index
  local hash, stream, limit = KEYS[2 * index], KEYS[2 * index + 1], tonumber(ARGV[7 + index])
  local known = redis.call('HMGET', hash, 'epoch', 'last', 'gone', 'age', 'count')
  local isKnown = known[1] == epoch
  if isLost then
    lost[#lost + 1] = index
  elseif mode == 'newest' then
    if isKnown and redis.call('XLEN', stream) == tonumber(known[5]) then
      local entries = range('XREVRANGE', stream, upTo, '-', limit)
      while #entries > 0 and now - tonumber(entries[#entries][2][2]) >= tonumber(known[4]) do entries[#entries] = nil end
      take(index, entries, limit, 1, -1)
    end
  else
    local gone = isKnown and tonumber(known[3]) or horizon(key, seq, now, span)
    if after < gone then
      lost[#lost + 1] = index
    elseif isKnown and tonumber(known[2]) > after then
      local entries = range('XRANGE', stream, '(' .. ARGV[6] .. '-0', upTo, limit)
      local isWhole = redis.call('XLEN', stream) == tonumber(known[5])
      if isWhole then
        -- What was before the first of all is gone.
        local oldest = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)
        isWhole = after >= tonumber(oldest[1][2][4])
      end
      if not isWhole or (#entries > 0 and now - tonumber(entries[1][2][2]) >= tonumber(known[4])) then
        lost[#lost + 1] = index
      else
        take(index, entries, limit, 1, 1)
      end
    end
  end
end
return {epoch, text(seq), lost, hasMore, found, looked}
`)

/**
 * Sends a marker and the position to this node, behind all that was published before. Keys: state. Arguments: run, seed, span, command to publish with,
 * channel, marker.
 */
export const FENCE = defineScript(`${COMMON}
local state = redis.call('HMGET', KEYS[1], 'epoch', 'run', 'seq')
if not state[1] then
  -- Flushed. What else there is to do does not depend on whether there is memory for a new epoch.
  local isBegun, epoch = pcall(begin, KEYS[1], ARGV[2], ARGV[1], time())
  state = {isBegun and epoch or '-', ARGV[1], '0'}
end
if state[2] ~= ARGV[1] then return redis.error_reply(STALE) end
return redis.call(ARGV[4], ARGV[5], ARGV[6] .. ' ' .. state[1] .. '.' .. state[3])
`)

/** Begins a new epoch. Keys: state. Arguments: run, seed, span, command to publish with, channel of all nodes. */
export const FLUSH = defineScript(`${COMMON}
local before = redis.call('HGET', KEYS[1], 'epoch') or '-'
local epoch = begin(KEYS[1], ARGV[2], ARGV[1], time())
return redis.call(ARGV[4], ARGV[5], epoch .. '.0 ' .. before)
`)

/** Deletes what groups have of other epochs. Keys: state; hash and stream of each group. */
export const FORGET = defineScript(`
local epoch = redis.call('HGET', KEYS[1], 'epoch')
for index = 2, #KEYS, 2 do
  if redis.call('HGET', KEYS[index], 'epoch') ~= epoch then redis.call('UNLINK', KEYS[index], KEYS[index + 1]) end
end
return 1
`)

export const HISTORY_SCRIPTS = [HELLO, PUBLISH, REPLAY, FENCE, FLUSH, FORGET]
