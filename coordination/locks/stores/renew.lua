-- Let a lease begin anew.
--
-- ARGV[3] id
-- ARGV[4] ttl   milliseconds
--   → {'held', token, since, until, now, revoked at: '' when nobody asked for it}
--     {'lost'}   it ran out or was taken away
local id, ttl = ARGV[3], tonumber(ARGV[4])
local found, count = holders()
local mine = found[id]
if not mine then
    serve(found, count)
    settle(found)
    return {'lost'}
end
if mine.revoke == '' or now < tonumber(mine.revoke) then
    local ends = now + ttl * 1000
    if mine.revoke ~= '' then
        -- Never sooner than it was told before: the holder may not hear this answer.
        ends = math.max(tonumber(mine['until']), math.min(ends, tonumber(mine.revoke)))
    end
    mine['until'] = text(ends)
    redis.call('HSET', HELD, id, pack(mine))
    emit('lock.renewed', id, mine.token, 'until', mine['until'])
    settle(found)
end
return {'held', mine.token, mine.since, mine['until'], text(now), mine.revoke}
