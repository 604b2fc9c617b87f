-- Who holds the lock and who waits for it, in order; changes nothing but the index of the waiting.
--
--   → {now, {id, packed, …} of holders, {id, packed, …} of waiters, stamp of the last event}
local line = {}
for _, id in ipairs(redis.call('ZRANGE', QUEUE, 0, 999)) do
    local packed = redis.call('HGET', WAITING, id)
    if packed then
        table.insert(line, id)
        table.insert(line, packed)
    end
end
-- A queue that nobody came back to was forgotten without a word.
if #line == 0 then redis.call('SREM', CONTENDED, KIND .. ' ' .. NAME) end
local last = redis.call('XREVRANGE', EVENTS, '+', '-', 'COUNT', 1)[1]
return {NOW, redis.call('HGETALL', HELD), line, last and last[1] or '0'}
