-- Count within a time, unless that would pass a limit.
--
-- KEYS[1] window  hash    slot → how much was counted in it
-- KEYS[2] answer  string  what became of this call, should it be repeated
-- ARGV[1] kept    how long the answer is remembered, milliseconds
-- ARGV[2] amount  0 looks only
-- ARGV[3] limit
-- ARGV[4] width   of a slot, microseconds
-- ARGV[5] back    how many slots before the present one count too
--   → "1 | 0 counted wait said": whether it was counted, how much is counted now, and in how many
--     microseconds it would be
local AMOUNT = tonumber(ARGV[2])
local said = ARGV[2] .. '/' .. ARGV[3]
if AMOUNT > 0 then
    local remembered = redis.call('GET', KEYS[2])
    if remembered then return remembered end
end
local WIDTH, BACK, LIMIT = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[3])
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local slot = math.floor(now / WIDTH)

local counted, slots = 0, {}
local all = redis.call('HGETALL', KEYS[1])
for index = 1, #all, 2 do
    local number, count = tonumber(all[index]), tonumber(all[index + 1])
    if number < slot - BACK then
        redis.call('HDEL', KEYS[1], all[index])
    else
        -- One ahead of the clock, which was set back, counts until it is behind.
        counted = counted + count
        table.insert(slots, {number, count})
    end
end

local passed, wait = '1', 0
if counted + AMOUNT > LIMIT then
    passed = '0'
    table.sort(slots, function(a, b) return a[1] < b[1] end)
    local left = counted
    for _, each in ipairs(slots) do
        left = left - each[2]
        wait = (each[1] + BACK + 1) * WIDTH - now
        if left + AMOUNT <= LIMIT then break end
    end
elseif AMOUNT > 0 then
    counted = counted + AMOUNT
    redis.call('HINCRBY', KEYS[1], string.format('%.0f', slot), ARGV[2])
    redis.call('PEXPIRE', KEYS[1], string.format('%.0f', (BACK + 2) * WIDTH / 1000 + 1))
end
local answer = passed .. ' ' .. string.format('%.0f', counted) .. ' '
    .. string.format('%.0f', wait) .. ' ' .. said
if AMOUNT > 0 then redis.call('SET', KEYS[2], answer, 'PX', ARGV[1]) end
return answer
