-- Count what the queue holds where it is, beside what its totals say, all at one moment.
--
-- ARGV[4] most   heads of blocks that are counted one by one
--   → {now, '1' if all was counted, messages of their own, places of these, ready blocks, blocks in
--      flight, what their lines are, messages in ready blocks, in blocks in flight, config…}
local most = tonumber(ARGV[4])
local ready_heads, flying = redis.call('LLEN', KEYS[14]), redis.call('HLEN', KEYS[15])
local counted = ready_heads + flying <= most

local SIZE = '^%d+ %d+ (%d+)'
local fifo, held, held_heads = 0, 0, 0
if counted then
    for from = 0, ready_heads - 1, 1000 do
        for _, head in ipairs(redis.call('LRANGE', KEYS[14], from, from + 999)) do
            fifo = fifo + string.match(head, SIZE)
        end
    end
    for _, heads in ipairs(redis.call('HVALS', KEYS[15])) do
        for head in string.gmatch(heads, '[^\n]+') do
            held_heads, held = held_heads + 1, held + string.match(head, SIZE)
        end
    end
end
return {
    NOW, counted and '1' or '0', redis.call('HLEN', KEYS[2]),
    redis.call('ZCARD', KEYS[3]) + redis.call('ZCARD', KEYS[4]) + redis.call('ZCARD', KEYS[5])
        - flying + redis.call('ZCARD', KEYS[7]),
    ready_heads, held_heads, redis.call('HLEN', KEYS[16]), fifo, held,
    redis.call('HGETALL', KEYS[1]),
}
