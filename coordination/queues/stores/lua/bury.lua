-- Make dead letters of those whose last attempt ended without a word.
--
-- ARGV[4] max attempts   ARGV[5] the dead letter queue's name; KEYS[17…]: it   ARGV[6] error, JSON
--   → how many
redis.call('ZREM', KEYS[10], '')   -- so that it works while memory is full: see head.lua
--#shelf

local q, dead, died, freed = at(NAME, 1), at(ARGV[5], 17), {}, 0
local ids = redis.call('ZRANGEBYSCORE', q.inflight, '-inf', NOW, 'LIMIT', 0, TIDIED_MAX)
for _, id in ipairs(ids) do
    local t = attempt(redis.call('HGET', q.taken, id))   -- of blocks there is none
    if t.attempts >= tonumber(ARGV[4]) then
        local m = unpacked(redis.call('HGET', q.messages, id))
        m.source, m.error, m.expires = NAME, ARGV[6], '0'
        freed = freed + transfer(q, dead, id, m)
        table.insert(died, id)
    end
end
if #died > 0 then
    count(q, 'lapsed', #died)
    count(q, 'dead', #died)
    emit(q.config, q.events, 'message.died', NAME, '{"ids":' .. told(died) .. ',"lapsed":true,"error":'
        .. cjson.encode(ARGV[6]) .. ',"to":' .. cjson.encode(ARGV[5]) .. '}')
    laid_down(dead, died, NAME)
    wake(q.waiters, freed)
end
return #died
