-- Add to a counter. Most calls are this one, so it does nothing that it need not.
--
-- KEYS[1] value   string  "value version"
-- KEYS[2] answer  string  what became of this call, should it be repeated
-- KEYS[3] events  stream  one entry an event, its id the stamp
-- KEYS[4] held    string  what open transactions may take off and add, "less more"; see hold.lua
-- ARGV[1] name   ARGV[2] node   ARGV[3] op id
-- ARGV[4] kept    how long the answer is remembered, milliseconds; '' is not at all, and one behind
--                 a minus is of a call that is repeated though it was not remembered
-- ARGV[5] amount
-- ARGV[6] rules   '' or "initial lowest highest"
-- ARGV[7] note    of the event: '' or the first members of a JSON object and a comma
--   → "done value version +amount", or "exceeded …" when nothing was written, or "unknown …"
--
-- Values stay within 2^53 - 1, where a Lua number is exact; `tostring` would round them, so numbers
-- become text by `%.0f` alone. Times are microseconds of this server's clock.
local remembered = redis.call('GET', KEYS[2])
if remembered then return remembered end

local KIND, KEPT, AMOUNT, RULES, NOTE = 'counter.added', ARGV[4], ARGV[5], ARGV[6], ARGV[7]
if string.byte(KEPT) == 45 then
    KEPT = string.sub(KEPT, 2)
--#again
    local found = applied('+' .. AMOUNT)
    if found then
        redis.call('SET', KEYS[2], found, 'PX', KEPT)
        return found
    end
end
local initial, lowest, highest = '0', -9007199254740991, 9007199254740991
if RULES ~= '' then
    local _, _, first, low, high = string.find(RULES, '^(%S+) (%S+) (%S+)$')
    initial, lowest, highest = first, tonumber(low), tonumber(high)
end

local before, version = initial, '0'
local found = redis.call('MGET', KEYS[1], KEYS[4])
local stands, held = found[1], found[2]
if stands then
    local space = string.find(stands, ' ', 2, true)
    before, version = string.sub(stands, 1, space - 1), string.sub(stands, space + 1)
end

local sum = before + AMOUNT
local least, most = sum, sum
if held then
    local _, _, less, more = string.find(held, '^(%S+) (%S+)$')
    if string.byte(AMOUNT) == 45 then least = sum + less else most = sum + more end
end
if least < lowest or most > highest then
    local answer = 'exceeded ' .. before .. ' ' .. version .. ' +' .. AMOUNT
    if KEPT ~= '' then redis.call('SET', KEYS[2], answer, 'PX', KEPT) end
    return answer
end
local after = string.format('%.0f', sum)
version = string.format('%.0f', version + 1)

-- The event first: what cannot be recorded is not done.
--#tell
redis.call('SET', KEYS[1], after .. ' ' .. version)
local answer = 'done ' .. after .. ' ' .. version .. ' +' .. AMOUNT
if KEPT ~= '' then redis.call('SET', KEYS[2], answer, 'PX', KEPT) end
return answer
