-- One message that nobody has taken: to another queue, or away.
--
-- ARGV[4] kept   how long the answer is remembered, milliseconds   ARGV[5] id
-- ARGV[6] '' or where it must have died   ARGV[7] said: JSON, for the history
-- ARGV[8] name of the other queue, KEYS[17…], '' for none   ARGV[9] its bound, '' for none
--   → 'undeclared' | 'full' | 'far' | '1' | '0'
local answered = redis.call('GET', KEYS[11])
if answered then return answered end
local away = ARGV[8] == ''
if redis.call('HEXISTS', KEYS[1], 'd') == 0
    or not away and redis.call('HEXISTS', KEYS[17], 'd') == 0 then
    return 'undeclared'
end
--#shelf

local UNROLLED_MAX = 10000   -- messages made single by one call: it holds up the whole server
local LOOKED_AT_MAX = 200    -- blocks

-- Blocks up to the one it is in are unrolled from the first on, or the order would be another.
-- Returns whether it may be found among single messages now.
local function single(id)
    if redis.call('HEXISTS', KEYS[2], id) == 1 then return true end
    local before, blocks = 0, redis.call('LRANGE', KEYS[14], 0, LOOKED_AT_MAX - 1)
    for index, block in ipairs(blocks) do
        before = before + tonumber(string.match(block, '^%d+ %d+ (%d+)'))
        if string.find(block, '"' .. id .. '"', 1, true) then
            if before > UNROLLED_MAX then return false end
            for _ = 1, index do unroll(redis.call('LPOP', KEYS[14])) end
            return true
        end
    end
    return #blocks < LOOKED_AT_MAX
end

local q, id, to = at(NAME, 1), ARGV[5], not away and at(ARGV[8], 17)
if not single(id) then return 'far' end
local raw = redis.call('HGET', q.messages, id)
local m = raw and unpacked(raw)
local redriven, answer = ARGV[6] ~= '', '0'
if m and not redis.call('ZSCORE', q.inflight, id) and (not redriven or m.source == ARGV[6]) then
    if not away and tonumber(ARGV[9]) and length(to) >= tonumber(ARGV[9]) then return 'full' end
    local ids, freed = '{"ids":' .. told({id}) .. ',"said":' .. ARGV[7], 0
    if away then
        freed = drop(q, id, m)
        count(q, 'purged', 1)
        emit(q.config, q.events, 'message.purged', NAME, ids .. '}')
    else
        if redriven then m.source = '' end
        freed = transfer(q, to, id, m)
        count(q, 'moved_out', 1)
        count(to, redriven and 'redriven' or 'moved_in', 1)
        emit(q.config, q.events, 'message.moved', NAME,
            ids .. ',"to":' .. cjson.encode(to.name) .. '}')
        emit(to.config, to.events, redriven and 'message.redriven' or 'message.arrived', to.name,
            ids .. ',"source":' .. cjson.encode(NAME) .. '}')
        wake(to.waiters, 1)
    end
    wake(q.waiters, freed)
    answer = '1'
end
redis.call('SET', KEYS[11], answer, 'PX', ARGV[4])
return answer
