-- Add what was held for a transaction that is committed. There is room for it.
--
-- ARGV[4] initial   of the counter, which nobody may have written yet
-- ARGV[5] note      as in add.lua
--   → 'applied' | 'cancelled' | 'gone'
--#holds
local amount = redis.call('HGET', KEYS[5], ARGV[3])
if not amount then return redis.call('GET', KEYS[2]) or 'gone' end

local KIND, NOTE = 'counter.added', ARGV[5]
local before, version = ARGV[4], '0'
local stands = redis.call('GET', KEYS[1])
if stands then
    local _
    _, _, before, version = string.find(stands, '^(%S+) (%S+)$')
end
local after = string.format('%.0f', before + amount)
version = string.format('%.0f', version + 1)
--#tell
redis.call('SET', KEYS[1], after .. ' ' .. version)
redis.call('HDEL', KEYS[5], ARGV[3])
hold(tonumber(amount), -1)
-- For ever, until the caller says that it is remembered elsewhere.
redis.call('SET', KEYS[2], 'applied')
return 'applied'
