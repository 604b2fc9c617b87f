-- Set a counter, reset it, or set it if a certain value stands.
--
-- KEYS and ARGV[1] to ARGV[4] as in add.lua
-- ARGV[5] kind       of the event
-- ARGV[6] new        the value to be written
-- ARGV[7] expected   '' or the value that must stand
-- ARGV[8] said       what was asked for, to be told from another call with this id
-- ARGV[9] rules      "initial lowest highest"
-- ARGV[10] note      as in add.lua
--   → "done | mismatch | exceeded | unknown value version said"
local remembered = redis.call('GET', KEYS[2])
if remembered then return remembered end

local KEPT, KIND, NOTE = ARGV[4], ARGV[5], ARGV[10]
if string.byte(KEPT) == 45 then
    KEPT = string.sub(KEPT, 2)
--#again
    local found = applied(ARGV[8])
    if found then
        redis.call('SET', KEYS[2], found, 'PX', KEPT)
        return found
    end
end

local EXPECTED, SAID = ARGV[7], ARGV[8]
local initial, low, high = string.match(ARGV[9], '^(%S+) (%S+) (%S+)$')
local before, version = initial, '0'
local found = redis.call('MGET', KEYS[1], KEYS[4])
local stands = found[1]
if stands then before, version = string.match(stands, '^(%S+) (%S+)$') end
local less, more = 0, 0
if found[2] then less, more = string.match(found[2], '^(%S+) (%S+)$') end

local after, ending = ARGV[6], nil
if EXPECTED ~= '' and EXPECTED ~= before then
    ending = 'mismatch '
elseif after + less < tonumber(low) or after + more > tonumber(high) then
    ending = 'exceeded '
end
if ending then
    local answer = ending .. before .. ' ' .. version .. ' ' .. SAID
    if KEPT ~= '' then redis.call('SET', KEYS[2], answer, 'PX', KEPT) end
    return answer
end
version = string.format('%.0f', version + 1)
--#tell
redis.call('SET', KEYS[1], after .. ' ' .. version)
local answer = 'done ' .. after .. ' ' .. version .. ' ' .. SAID
if KEPT ~= '' then redis.call('SET', KEYS[2], answer, 'PX', KEPT) end
return answer
