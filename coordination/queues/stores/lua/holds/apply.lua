-- Publish what room was held for: neither a bound nor a pause is in its way.
--
-- KEYS[17], KEYS[18], ARGV[3] as in hold.lua
-- KEYS[19…]         of a message with a dedup id: where its first is remembered, in order
-- ARGV[4] window    of dedup ids, milliseconds
-- ARGV[5…]          of each message eight values, as in publish.lua
--   → 'applied' | 'cancelled' | 'gone'
local rooms = redis.call('HGET', KEYS[17], OP)
if not rooms then return redis.call('GET', KEYS[18]) or 'gone' end
--#shelf
local q = at(NAME, 1)
local ids, keyed = {}, 18
for from = 5, #ARGV, 8 do
    local id, first = ARGV[from], nil
    if ARGV[from + 6] == '1' then
        keyed = keyed + 1
        first = redis.call('GET', KEYS[keyed])
        if not first then redis.call('SET', KEYS[keyed], id, 'PX', ARGV[4]) end
    end
    if not first then
        local delay, due, lasts = tonumber(ARGV[from + 2]), ARGV[from + 3], tonumber(ARGV[from + 4])
        if delay > 0 then due = text(now + delay) end
        enqueue(q, id, {
            at = NOW, priority = ARGV[from + 1], group = ARGV[from + 5], due = due, source = '',
            error = '', expires = lasts > 0 and text(now + lasts) or '0', tail = ARGV[from + 7],
        })
        table.insert(ids, id)
    end
end
redis.call('HDEL', KEYS[17], OP)
redis.call('HINCRBY', KEYS[1], 'rooms', -rooms)
-- For ever, until the caller says that it is remembered elsewhere.
redis.call('SET', KEYS[18], 'applied')
if #ids > 0 then
    emit(q.config, q.events, 'message.published', NAME, '{"ids":' .. told(ids) .. '}')
    wake(q.waiters, #ids)
end
return 'applied'
