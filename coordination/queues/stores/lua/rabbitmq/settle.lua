-- Say of attempts what became of them: 1 where the attempt was still the last, 0 where it was not.
-- KEYS: the queue's delayed, then the record of each message.
-- ARGV: op, how long an ended record lives in ms, then of each message: id, attempt, the op that
-- took it, verb, error, due in ms since 1970 (0: not delayed).
local op, kept = ARGV[1], ARGV[2]
local told = {}
for number = 2, #KEYS do
  local key, at = KEYS[number], (number - 2) * 6 + 3
  local id, attempt, taker, verb = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local was = redis.call('HMGET', key, 'n', 'op', 'open', 'said', 'done')
  local good = was[5] == op or (not was[5] and was[4] == op)
  if not good and not was[5] and was[1] == attempt and was[2] == taker and was[3] == '1' then
    good = true
    if verb == 'ack' then
      redis.call('DEL', key)
      redis.call('HSET', key, 'done', op)
      redis.call('PEXPIRE', key, kept)
    else
      local left = verb == 'release' and attempt - 1 or attempt
      redis.call('HSET', key, 'n', left, 'open', 0, 'said', op)
      if verb ~= 'release' then redis.call('HSET', key, 'error', ARGV[at + 4]) end
      if verb == 'dead' then redis.call('HSET', key, 'dead', 1) end
      if ARGV[at + 5] ~= '0' then redis.call('ZADD', KEYS[1], ARGV[at + 5], id) end
    end
  end
  told[#told + 1] = good and 1 or 0
end
return told
