-- One step of throwing messages away.
--
-- ARGV[4] kept   how long the answer is remembered, milliseconds   ARGV[5] limit
-- ARGV[6] cursor of the step before, '' for the first   ARGV[7] said: JSON, for the history
--   → 'how many and cursor'
local answered = redis.call('GET', KEYS[11])
if answered then return answered end
redis.call('ZREM', KEYS[10], '')   -- so that it works while memory is full: see head.lua
--#shelf

local q = at(NAME, 1)
local taken, cursor = walk(q, tonumber(ARGV[5]), ARGV[6], function(id, m)
    return true, drop(q, id, m)
end)
if #taken > 0 then
    count(q, 'purged', #taken)
    emit(q.config, q.events, 'message.purged', NAME,
        '{"ids":' .. told(taken) .. ',"said":' .. ARGV[7] .. '}')
end
local answer = #taken .. ' ' .. cursor
redis.call('SET', KEYS[11], answer, 'PX', ARGV[4])
return answer
