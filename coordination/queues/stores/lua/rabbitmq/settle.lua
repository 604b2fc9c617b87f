-- Say of attempts what became of them: 1 where the attempt was still the last, 0 where it was not.
-- KEYS: the queue's delayed, then the record of each message.
-- ARGV: op, how long an ended record lives in ms, then of each message: id, attempt, the op that
-- took it, verb, error, delay in ms (0: not delayed).
local op, kept = ARGV[1], tonumber(ARGV[2])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local told = {}
for number = 2, #KEYS do
  local key, at = KEYS[number], (number - 2) * 6 + 3
  local id, attempt, taker, verb = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local was = redis.call('HMGET', key, 'n', 'op', 'open', 'said', 'done')
  local good = was[5] == op or (not was[5] and was[4] == op)
  if not good and not was[5] and was[1] == attempt and was[2] == taker and was[3] == '1' then
    good = true
    local last = tonumber(redis.call('HGET', key, 'last') or '0')
    if verb == 'ack' then
      -- At least until the last of its copies has come.
      local kept = kept + math.max(0, last - now)
      redis.call('DEL', key)
      redis.call('HSET', key, 'done', op)
      -- Where a transaction may publish it again, it is kept until that is over.
      if redis.call('EXISTS', key .. ':held') == 0 then redis.call('PEXPIRE', key, kept) end
    else
      local left = verb == 'release' and attempt - 1 or attempt
      redis.call('HSET', key, 'n', left, 'open', 0, 'said', op)
      if verb ~= 'release' then redis.call('HSET', key, 'error', ARGV[at + 4]) end
      if verb == 'dead' then redis.call('HSET', key, 'dead', 1) end
      local due = now + ARGV[at + 5]
      if due > now then
        redis.call('ZADD', KEYS[1], due, id)
        last = math.max(last, due)
        redis.call('HSET', key, 'due', due, 'last', last)
        redis.call('PEXPIRE', key, math.max(redis.call('PTTL', key), last - now + kept))
      end
    end
  end
  told[#told + 1] = good and 1 or 0
end
return told
