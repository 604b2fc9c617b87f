-- Set a counter, reset it, or set it if a certain value stands.
--
-- KEYS and ARGV[1] to ARGV[4] as in add.lua
-- ARGV[5] kind       of the event
-- ARGV[6] new        the value to be written
-- ARGV[7] expected   '' or the value that must stand
-- ARGV[8] said       what was asked for, to be told from another call with this id
-- ARGV[9] rules      "initial lowest highest"
--   → "done | mismatch | exceeded | unknown value version said"
local remembered = redis.call('GET', KEYS[2])
if remembered then return remembered end

local KEPT, KIND = ARGV[4], ARGV[5]
if string.byte(KEPT) == 45 then
    KEPT = string.sub(KEPT, 2)
--#again
    local found = applied(ARGV[8])
    if found then
        redis.call('SET', KEYS[2], found, 'PX', KEPT)
        return found
    end
end

local _, _, initial, low, high = string.find(ARGV[9], '^(%S+) (%S+) (%S+)$')
local before, version = initial, '0'
local stands = redis.call('GET', KEYS[1])
if stands then
    _, _, before, version = string.find(stands, '^(%S+) (%S+)$')
end

local function answered(ending, value)
    local answer = ending .. ' ' .. value .. ' ' .. version .. ' ' .. ARGV[8]
    if KEPT ~= '' then redis.call('SET', KEYS[2], answer, 'PX', KEPT) end
    return answer
end

local after = ARGV[6]
if ARGV[7] ~= '' and ARGV[7] ~= before then return answered('mismatch', before) end
if tonumber(after) < tonumber(low) or tonumber(after) > tonumber(high) then
    return answered('exceeded', before)
end
version = string.format('%.0f', version + 1)
--#tell
redis.call('SET', KEYS[1], after .. ' ' .. version)
return answered('done', after)
