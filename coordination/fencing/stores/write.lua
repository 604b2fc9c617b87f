-- Write a value unless a newer token has.
--
-- KEYS[1] value     hash    'value' as JSON, 'token' the newest that wrote
-- KEYS[2] answer    string  what became of this call, should it be repeated
-- KEYS[3] position  string  how many events this shard has recorded
-- KEYS[4] events    stream  one entry an event, its id the position
-- ARGV[1] name
-- ARGV[2] node      who calls, for the history
-- ARGV[3] op id
-- ARGV[4] verb      set | delete
-- ARGV[5] value     JSON
-- ARGV[6] token     empty: compare nothing, leave the token that stands
-- ARGV[7] kept      how long the answer is remembered, milliseconds
-- ARGV[8] buried    how long a deleted value's token is remembered, milliseconds
--   → {'written' | 'stale', the token that stands}
--
-- Tokens stay below 2^53, where a Lua number compares exactly; they are stored as they came, since
-- `tostring` would round them.
local VALUE, ANSWER, POSITION, EVENTS = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local NAME, NODE, OP, VERB, TOKEN = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[6]
local EVENTS_KEPT = 100000

local remembered = redis.call('GET', ANSWER)
if remembered then return cjson.decode(remembered) end

local function emit(kind, ...)
    local clock = redis.call('TIME')
    local position = string.format('%.0f', redis.call('INCR', POSITION))
    redis.call('XADD', EVENTS, 'MAXLEN', '~', EVENTS_KEPT, position .. '-0',
        'kind', kind, 'name', NAME, 'at', string.format('%.0f', clock[1] * 1000000 + clock[2]),
        'node', NODE, 'id', OP, 'token', TOKEN, ...)
end

local function answered(word, standing)
    redis.call('SET', ANSWER, cjson.encode({word, standing}), 'PX', ARGV[7])
    return {word, standing}
end

local standing = redis.call('HGET', VALUE, 'token') or '0'
if TOKEN ~= '' then
    if tonumber(TOKEN) < tonumber(standing) then
        emit('fenced.refused', 'standing', standing)
        return answered('stale', standing)
    end
    standing = TOKEN
end
redis.call('HSET', VALUE, 'token', standing)
if VERB == 'delete' then
    -- What is left keeps a writer out who was paused before.
    redis.call('HDEL', VALUE, 'value')
    redis.call('PEXPIRE', VALUE, ARGV[8])
    emit('fenced.deleted')
else
    redis.call('HSET', VALUE, 'value', ARGV[5])
    redis.call('PERSIST', VALUE)
    emit('fenced.set', 'bytes', #ARGV[5])
end
return answered('written', standing)
