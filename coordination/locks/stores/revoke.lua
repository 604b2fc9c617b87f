-- Ask whoever holds the lock to give it back; after the grace its lease is renewed no more.
--
-- ARGV[4] grace   milliseconds
-- ARGV[5] said    JSON with actor and reason
--   → how many were asked

--#common

local found, count = holders()
local at = text(now + tonumber(ARGV[4]) * 1000)
for id, record in pairs(found) do
    record.revoke = at
    redis.call('HSET', HELD, id, packed(record))
    emit('lock.revoke_asked', id, record.token, '{"at_latest":' .. at .. ',"said":' .. ARGV[5] .. '}')
end
return count
