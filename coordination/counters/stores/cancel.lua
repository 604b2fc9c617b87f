-- Let go of what was held for a transaction that is aborted, and refuse a hold that comes late.
--
-- ARGV[4] kept   milliseconds for which late ones are refused
--   → 'cancelled' | 'applied'
--#holds
local amount = redis.call('HGET', KEYS[5], ARGV[3])
if amount then
    redis.call('HDEL', KEYS[5], ARGV[3])
    hold(tonumber(amount), -1)
elseif redis.call('GET', KEYS[2]) == 'applied' then
    return 'applied'
end
redis.call('SET', KEYS[2], 'cancelled', 'PX', ARGV[4])
return 'cancelled'
