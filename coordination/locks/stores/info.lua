-- Who holds the lock and who waits for it, in order; changes nothing.
--
--   → {now, {id, packed, …} of holders, {id, packed, …} of waiters}
local line = {}
for _, id in ipairs(redis.call('ZRANGE', QUEUE, 0, 999)) do
    local packed = redis.call('HGET', WAITING, id)
    if packed then
        table.insert(line, id)
        table.insert(line, packed)
    end
end
return {text(now), redis.call('HGETALL', HELD), line}
