-- Look at messages.
--
-- ARGV[4] 'ready', 'delayed' or 'in_flight'   ARGV[5] limit
--   → of each its id, its place's score, attempts and error as in `taken`, record
local reply = {}

local function look(key, limit, id_of)
    local found = redis.call('ZRANGE', key, 0, limit - 1, 'WITHSCORES')
    for index = 1, #found, 2 do
        local id = id_of(found[index])
        table.insert(reply, id)
        table.insert(reply, found[index + 1])
        table.insert(reply, redis.call('HGET', KEYS[6], id) or '')
        table.insert(reply, redis.call('HGET', KEYS[2], id) or '')
    end
    return limit - #found / 2
end

local function itself(id) return id end
local function of_group(member) return string.match(member, '^[^%z]*%z[^%z]*%z(.*)$') end

local limit = tonumber(ARGV[5])
if ARGV[4] == 'in_flight' then
    for _, id in ipairs(redis.call('ZRANGE', KEYS[5], 0, limit - 1)) do
        if string.byte(id) == 0 then scatter(string.sub(id, 2)) end
    end
end
while ARGV[4] == 'ready' and redis.call('ZCARD', KEYS[3]) < limit do
    local block = redis.call('LPOP', KEYS[14])
    if not block then break end
    unroll(block)
end
if ARGV[4] == 'delayed' then
    look(KEYS[4], limit, itself)
elseif ARGV[4] == 'in_flight' then
    look(KEYS[5], limit, itself)
else
    local left = look(KEYS[3], limit, itself)
    if left > 0 then look(KEYS[7], left, of_group) end
end
return reply
