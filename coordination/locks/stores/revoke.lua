-- Ask whoever holds the lock to give it back; after the grace its lease is renewed no more.
--
-- ARGV[3] grace   milliseconds
-- ARGV[4] actor
-- ARGV[5] reason
--   → how many were asked
local found, count = holders()
local at = text(now + tonumber(ARGV[3]) * 1000)
for id, record in pairs(found) do
    record.revoke = at
    redis.call('HSET', HELD, id, pack(record))
    emit('lock.revoke_asked', id, record.token, 'owner', record.owner, 'at_latest', at,
        'actor', ARGV[4], 'reason', ARGV[5])
end
return count
