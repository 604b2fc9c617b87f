-- Hold room for what a transaction may publish.
--
-- KEYS[17] holds  hash    branch → for how many messages; config counts the sum of them in `rooms`
-- KEYS[18] ended  string  'applied' or 'cancelled', once this branch's hold has ended
-- ARGV[3] branch   ARGV[4] how many messages   ARGV[5] bound, '' for none
-- ARGV[6] until    time of this server's clock after which the transaction is aborted, so that a
--                  copy of this call which comes later holds nothing
--   → 'held' | 'late' | 'applied' | 'cancelled' | 'undeclared' | 'paused' | 'full'
local state = redis.call('HMGET', KEYS[1], 'd', 'pp')
if not state[1] then return 'undeclared' end
local ended = redis.call('GET', KEYS[18])
if ended then return ended end
if redis.call('HEXISTS', KEYS[17], OP) == 1 then return 'held' end
if now > tonumber(ARGV[6]) then return 'late' end
if state[2] == '1' then return 'paused' end
--#shelf
if ARGV[5] ~= '' then
    local q, steps = at(NAME, 1), 0
    -- What is of no use any more shall not stand in the way.
    repeat steps = steps + 1 until expire(q) == 0 or steps == 20
    if length(q) + ARGV[4] > tonumber(ARGV[5]) then return 'full' end
end
redis.call('HSET', KEYS[17], OP, ARGV[4])
redis.call('HINCRBY', KEYS[1], 'rooms', ARGV[4])
return 'held'
