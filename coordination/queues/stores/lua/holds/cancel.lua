-- Let go of room that was held, and refuse a hold that comes late.
--
-- KEYS[17], KEYS[18], ARGV[3] as in hold.lua   ARGV[4] how long late ones are refused, milliseconds
--   → 'cancelled' | 'applied'
local rooms = redis.call('HGET', KEYS[17], OP)
if rooms then
    redis.call('HDEL', KEYS[17], OP)
    redis.call('HINCRBY', KEYS[1], 'rooms', -rooms)
elseif redis.call('GET', KEYS[18]) == 'applied' then
    return 'applied'
end
redis.call('SET', KEYS[18], 'cancelled', 'PX', ARGV[4])
return 'cancelled'
