-- Let a lease begin anew.
--
-- ARGV[4] id
-- ARGV[5] ttl   milliseconds
--   → 'token since until now revoked-at index', as `told_held` has it
--     {'lost'}   it ran out or was taken away

--#common

local id, ttl = ARGV[4], tonumber(ARGV[5])
local found, count = holders()
local mine = found[id]
if not mine then
    serve(found, count)
    settle(found)
    return {'lost'}
end
if mine.revoke == '' or now < tonumber(mine.revoke) then
    local ends = now + ttl * 1000
    if mine.revoke ~= '' then ends = math.min(ends, tonumber(mine.revoke)) end
    -- Never sooner than it was told before: the holder may not hear this answer.
    mine.ends = text(math.max(tonumber(mine.ends), ends))
    redis.call('HSET', HELD, id, packed(mine))
    emit('lock.renewed', id, mine.token, '{"until":' .. mine.ends .. '}')
    settle(found)
end
return told_held(mine.token, mine.since, mine.ends, mine.revoke, mine.index)
