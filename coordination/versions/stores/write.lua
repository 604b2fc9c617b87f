-- Write the next version of a name, unless somebody else has written it since it was read.
--
-- KEYS[1] value     hash    'value' as JSON, 'version', 'writer' the call that wrote it
-- KEYS[2] answer    string  what became of this call, should it be repeated
-- KEYS[3] position  string  how many events this shard has recorded
-- KEYS[4] events    stream  one entry an event, its id the position
-- ARGV[1] name
-- ARGV[2] node      who calls, for the history
-- ARGV[3] call      its id
-- ARGV[4] version   that was read, 0 when there was none
-- ARGV[5] writer    of that version: a Redis that lost its data counts versions anew
-- ARGV[6] value     JSON
-- ARGV[7] kept      how long the answer is remembered, milliseconds
--   → 1 written, 0 not: somebody else wrote
local VALUE, ANSWER, POSITION, EVENTS = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local NAME, NODE, CALL, READ, WRITER = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local EVENTS_KEPT = 100000

-- Its own write would look like another's to a call that is repeated.
local remembered = redis.call('GET', ANSWER)
if remembered then return tonumber(remembered) end

local function emit(kind, version, ...)
    local clock = redis.call('TIME')
    local position = string.format('%.0f', redis.call('INCR', POSITION))
    redis.call('XADD', EVENTS, 'MAXLEN', '~', EVENTS_KEPT, position .. '-0',
        'kind', kind, 'name', NAME, 'at', string.format('%.0f', clock[1] * 1000000 + clock[2]),
        'node', NODE, 'id', CALL, 'version', version, ...)
end

local stands = redis.call('HMGET', VALUE, 'version', 'writer')
local version, writer = stands[1] or '0', stands[2] or ''
local written = version == READ and writer == WRITER
if written then
    version = string.format('%.0f', tonumber(version) + 1)
    redis.call('HSET', VALUE, 'value', ARGV[6], 'version', version, 'writer', CALL)
    emit('optimistic.set', version, 'bytes', #ARGV[6])
else
    emit('optimistic.conflicted', version, 'read', READ)
end
redis.call('SET', ANSWER, written and '1' or '0', 'PX', ARGV[7])
return written and 1 or 0
