-- How the queue stands.
--
-- KEYS[17…] the dead letter queue, as KEYS[1…], where there is one
--   → {now, messages, ready, delayed, in flight, behind one of their group, dead letters,
--      when the first ready one was published or '', config…}
local oldest
-- The first of each priority, and of the suspects.
local bands = {{'-inf', '(0'}}
for band = 0, 9 do table.insert(bands, {text(band * 1e12), '(' .. text((band + 1) * 1e12)}) end
for _, band in ipairs(bands) do
    local id = redis.call('ZRANGEBYSCORE', KEYS[3], band[1], band[2], 'LIMIT', 0, 1)[1]
    local record = id and redis.call('HGET', KEYS[2], id)
    local published = record and string.match(record, '^%d+\n(%d+)')
    if published and (not oldest or tonumber(published) < tonumber(oldest)) then
        oldest = published
    end
end
local block = redis.call('LINDEX', KEYS[14], 0)
local published = block and string.match(block, '^%d+ (%d+)')
if published and (not oldest or tonumber(published) < tonumber(oldest)) then oldest = published end

local function counted(config, what)
    return tonumber(redis.call('HGET', config, what) or 0)
end

local fifo, held, dead = counted(KEYS[1], 'fifo'), counted(KEYS[1], 'held'), 0
if KEYS[17] then
    dead = redis.call('HLEN', KEYS[18]) + counted(KEYS[17], 'fifo') + counted(KEYS[17], 'held')
end
return {
    NOW, redis.call('HLEN', KEYS[2]) + fifo + held, redis.call('ZCARD', KEYS[3]) + fifo,
    redis.call('ZCARD', KEYS[4]),
    redis.call('ZCARD', KEYS[5]) - redis.call('HLEN', KEYS[15]) + held,
    redis.call('ZCARD', KEYS[7]), dead, oldest or '', redis.call('HGETALL', KEYS[1]),
}
