-- Hold room for what a transaction may add, unless it could cross a bound.
--
-- ARGV[4] amount   ARGV[5] rules "initial lowest highest"
-- ARGV[6] until    microseconds of this server's clock after which the transaction is aborted, so
--                  that a copy of this call which comes later holds nothing
--   → 'held' | 'late' | 'applied' | 'cancelled' | 'exceeded value version'
--#holds
local ended = redis.call('GET', KEYS[2])
if ended then return ended end
if redis.call('HEXISTS', KEYS[5], ARGV[3]) == 1 then return 'held' end
local clock = redis.call('TIME')
if clock[1] * 1000000 + clock[2] > tonumber(ARGV[6]) then return 'late' end

local _, _, value, low, high = string.find(ARGV[5], '^(%S+) (%S+) (%S+)$')
local version, amount = '0', tonumber(ARGV[4])
local stands = redis.call('GET', KEYS[1])
if stands then
    _, _, value, version = string.find(stands, '^(%S+) (%S+)$')
end
local least, most = value + amount, value + amount
local less, more = sums()
if amount < 0 then least = least + less else most = most + more end
if least < tonumber(low) or most > tonumber(high) then
    return 'exceeded ' .. value .. ' ' .. version
end
redis.call('HSET', KEYS[5], ARGV[3], ARGV[4])
hold(amount, 1)
return 'held'
