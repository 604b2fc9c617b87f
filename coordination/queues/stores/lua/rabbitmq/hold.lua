-- A publication that a transaction has prepared: whether it is held, was made, or never will be.
--
-- KEYS[1] holds  hash    branch → how many messages, while it is held
-- KEYS[2] ended  string  'applied' or 'cancelled', once it has ended
-- then of each message: its record, and a key that is there while it may be published again
-- ARGV: verb, branch, then of 'hold' the time of this server's clock in us after which the
-- transaction is aborted, and of 'cancel' for how many ms late holds are refused; of 'applied' how
-- long a record of what is done lives in ms.
--   → 'held' | 'late' | 'applied' | 'cancelled' | 'gone'
local verb, branch, told = ARGV[1], ARGV[2], ARGV[3]
local held = redis.call('HEXISTS', KEYS[1], branch) == 1
local ended = redis.call('GET', KEYS[2])

if verb == 'look' then return held and 'held' or ended or 'gone' end
if verb == 'hold' then
  if ended then return ended end
  if held then return 'held' end
  local clock = redis.call('TIME')
  if clock[1] * 1000000 + clock[2] > tonumber(told) then return 'late' end
  redis.call('HSET', KEYS[1], branch, (#KEYS - 2) / 2)
  for number = 4, #KEYS, 2 do redis.call('SET', KEYS[number], branch) end
  return 'held'
end
if verb == 'applied' and not held then return ended or 'gone' end
if verb == 'cancel' and not held and ended == 'applied' then return ended end
redis.call('HDEL', KEYS[1], branch)
for number = 4, #KEYS, 2 do
  redis.call('DEL', KEYS[number])
  -- It was kept for as long as the message could be published again.
  if redis.call('HEXISTS', KEYS[number - 1], 'done') == 1 then
    redis.call('PEXPIRE', KEYS[number - 1], verb == 'applied' and told or '1000')
  end
end
if verb == 'cancel' then
  redis.call('SET', KEYS[2], 'cancelled', 'PX', told)
  return 'cancelled'
end
-- For ever, until the caller says that it is remembered elsewhere.
redis.call('SET', KEYS[2], 'applied')
return 'applied'
