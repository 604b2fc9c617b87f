-- One step of moving messages to another queue, or of a redrive.
--
-- ARGV[4] kept   how long the answer is remembered, milliseconds   ARGV[5] limit
-- ARGV[6] cursor of the step before, '' for the first   ARGV[7] '' or where they must have died
-- ARGV[8] said: JSON, for the history
-- ARGV[9] name of the other queue, KEYS[17…]   ARGV[10] its bound, '' for none
--   → 'undeclared' | 'full' | 'how many and cursor'
local answered = redis.call('GET', KEYS[11])
if answered then return answered end
if redis.call('HEXISTS', KEYS[1], 'd') == 0 or redis.call('HEXISTS', KEYS[17], 'd') == 0 then
    return 'undeclared'
end
redis.call('ZREM', KEYS[10], '')   -- so that it works while memory is full: see head.lua
--#shelf

local q, to, steps = at(NAME, 1), at(ARGV[9], 17), 0
-- What is of no use any more shall not stand in the way.
if ARGV[10] ~= '' then
    repeat steps = steps + 1 until expire(to) == 0 or steps == 20
end
local room = tonumber(ARGV[10]) and tonumber(ARGV[10]) - length(to) or 1e12
if room <= 0 then return 'full' end
local redriven = ARGV[7] ~= ''

local taken, cursor = walk(q, math.min(tonumber(ARGV[5]), room), ARGV[6], function(id, m)
    if redriven and m.source ~= ARGV[7] then return false, 0 end
    if redriven then m.source = '' end
    return true, transfer(q, to, id, m)
end)
if #taken > 0 then
    count(q, 'moved_out', #taken)
    count(to, redriven and 'redriven' or 'moved_in', #taken)
    local ids = '{"ids":' .. told(taken) .. ',"said":' .. ARGV[8]
    emit(q.config, q.events, 'message.moved', NAME, ids .. ',"to":' .. cjson.encode(to.name) .. '}')
    emit(to.config, to.events, redriven and 'message.redriven' or 'message.arrived', to.name,
        ids .. ',"source":' .. cjson.encode(NAME) .. '}')
    wake(to.waiters, #taken)
end
local answer = #taken .. ' ' .. cursor
redis.call('SET', KEYS[11], answer, 'PX', ARGV[4])
return answer
