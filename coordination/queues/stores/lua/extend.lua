-- Let leases begin anew.
--
-- ARGV[4] lease, microseconds; then of each message its id and 'attempts\nop', from the receipt
--   → a digit a message: 1 extended, 0 stale
redis.call('ZREM', KEYS[10], '')   -- so that it works while memory is full: see head.lua
local answers, leases, ids = {}, {}, {}
local ends = text(now + ARGV[4])
local proofs = {}
for from = 6, #ARGV, 2 do table.insert(proofs, ARGV[from]) end
scatter_proven(proofs)
for from = 5, #ARGV, 2 do
    local raw, proof = redis.call('HGET', KEYS[6], ARGV[from]), ARGV[from + 1] .. '\n'
    if raw and string.sub(raw, 1, #proof) == proof then
        table.insert(answers, '1')
        table.insert(leases, ends)
        table.insert(leases, ARGV[from])
        table.insert(ids, ARGV[from])
    else
        table.insert(answers, '0')
    end
end
if #ids > 0 then
    redis.call('ZADD', KEYS[5], unpack(leases))
    emit(KEYS[1], KEYS[12], 'message.extended', NAME, '{"ids":' .. told(ids) .. ',"until":' .. ends
        .. '}')
end
return table.concat(answers)
