-- Let a lease begin anew; that of one it was handed to begins with this.
--
-- ARGV[4] id
-- ARGV[5] ttl    milliseconds
-- ARGV[6] kept   how long the answer is remembered, milliseconds
--   → 'token since until now revoked-at index', as `told_held` has it
--     {'lost'}   it ran out or was taken away

local id = ARGV[4]
local packed = redis.call('HGET', HELD, id)
local state, mode, limit, token, since, ends, ttl, revoke, index, bell, who
if packed then
    state, mode, limit, token, since, ends, ttl, revoke, index, bell, who = string.match(packed,
        '^' .. string.rep('([^\n]*)\n', 10) .. '(.*)$')
end
if packed and tonumber(ends) > now then
    if revoke == '' or now < tonumber(revoke) then
        local until_us = now + tonumber(ARGV[5]) * 1000
        if revoke ~= '' then until_us = math.min(until_us, tonumber(revoke)) end
        -- Never sooner than it was told before: the holder may not hear this answer.
        if until_us > tonumber(ends) then ends = text(until_us) end
        if state == 'handed' then
            redis.call('SET', ANSWER, token, 'PX', ARGV[6])
            emit('lock.granted', id, token, told_who(mode, limit, ends, who))
        else
            emit('lock.renewed', id, token, '{"until":' .. ends .. '}')
        end
        redis.call('HSET', HELD, id,
            pack('held', mode, limit, token, since, ends, ttl, revoke, index, bell, who))
        -- What others asked for may have to be kept longer.
        if redis.call('PTTL', HELD) < (ends - now) / 1000 + ABANDONED_MS / 2 then
            redis.call('PEXPIRE', HELD, text((ends - now) / 1000 + ABANDONED_MS))
        end
    end
    return told_held(token, since, ends, revoke, index)
end

--#common

local found, count = holders()
serve(found, count)
settle(found)
return {'lost'}
