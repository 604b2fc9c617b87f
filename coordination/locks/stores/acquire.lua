-- Take the lock, or a place in its queue, or ask how the same call stands.
--
-- ARGV[4] id            names this call for ever: a repetition gets the first answer
-- ARGV[5] mode          exclusive | shared | permit | party   ARGV[6] limit
-- ARGV[7] ttl           of the lease, milliseconds
-- ARGV[8] stay          how long to stay in the queue unless it asks again, ms; 0: not at all
-- ARGV[9] kept          how long the answer is remembered, milliseconds
-- ARGV[10] bell         channel on which its process is told   ARGV[11] who: JSON for the history
--   → 'token since until now revoked-at index', as `told_held` has it
--     {'waiting', place from 1, microseconds until the present lease ends, now}
--     {'busy', microseconds until the present lease ends}
--     {'over', token}   this call had it, and has it no longer
local id, mode, ttl, stay = ARGV[4], ARGV[5], tonumber(ARGV[7]), tonumber(ARGV[8])

-- Nobody has it, nobody waits, nobody called before: what is below would find out the same. It
-- stands before the functions, since making them takes longer than all of this.
if mode ~= 'party' and redis.call('EXISTS', HELD, QUEUE, ANSWER) == 0 then
    local since, ends = NOW, text(now + ttl * 1000)
    local token = emit('lock.granted', id, '', told_who(mode, ARGV[6], ends, ARGV[11]))
    redis.call('HSET', HELD, id,
        pack('held', mode, ARGV[6], token, since, ends, ARGV[7], '', '0', ARGV[10], ARGV[11]))
    redis.call('PEXPIRE', HELD, text(ttl + ABANDONED_MS))
    -- A lease that lasts longer is memory enough.
    if tonumber(ARGV[9]) > ttl then redis.call('SET', ANSWER, token, 'PX', ARGV[9]) end
    return told_held(token, since, ends, '', '0')
end

-- One has it alone, and this call is new: behind the others it waits.
if mode ~= 'party' and stay > 0 then
    local all = redis.call('HGETALL', HELD)
    local ends = all[1] and not all[3] and all[1] ~= id
        and tonumber(string.match(all[2], '^%a+\nexclusive\n%d+\n%d+\n%d+\n(%d+)\n'))
    if ends and ends > now and redis.call('EXISTS', ANSWER) == 0 then
        local stays = text(now + stay * 1000)
        local packed = pack('waiting', mode, ARGV[6], '0', NOW, stays, ARGV[7], '', '0',
            ARGV[10], ARGV[11])
        if redis.call('HSETNX', WAITING, id, packed) == 1 then
            local waiting = told_who(mode, ARGV[6], stays, ARGV[11])
            redis.call('ZADD', QUEUE, emit('lock.waiting', id, '0', waiting), id)
            local place = redis.call('ZCARD', QUEUE)
            if place == 1 then
                -- Whoever asks again lets them be kept longer.
                local kept = text((ends - now) / 1000 + ABANDONED_MS)
                redis.call('PEXPIRE', QUEUE, kept)
                redis.call('PEXPIRE', WAITING, kept)
                redis.call('SADD', CONTENDED, KIND .. ' ' .. NAME)
            end
            return {'waiting', place, text(ends - now), NOW}
        end
    end
end

--#common

local found, count = holders()

-- Asking shows that it lives: the lease proper begins.
local function held(record)
    if record.state == 'handed' then
        record.state = 'held'
        record.ends = text(now + ttl * 1000)
        redis.call('HSET', HELD, id, packed(record))
        redis.call('SET', ANSWER, record.token, 'PX', ARGV[9])
        emit('lock.granted', id, record.token, told(record))
    end
    settle(found)
    return told_held(record.token, record.since, record.ends, record.revoke, record.index)
end

if found[id] then return held(found[id]) end
local remembered = redis.call('GET', ANSWER)
if remembered then return {'over', remembered} end

serve(found, count)
if found[id] then return held(found[id]) end

local record = {
    state = 'waiting', mode = mode, limit = ARGV[6], token = '0', since = NOW,
    ends = text(now + math.max(stay, 1) * 1000), ttl = ARGV[7], revoke = '', index = '0',
    bell = ARGV[10], who = ARGV[11],
}
count = redis.call('HLEN', HELD)
if mode ~= 'party' and redis.call('EXISTS', QUEUE) == 0 and compatible(record, found, count) then
    found[id] = grant(id, record, 'held', ttl)
    redis.call('SET', ANSWER, record.token, 'PX', ARGV[9])
    return held(found[id])
end
if stay > 0 or mode == 'party' then
    local asked = redis.call('HGET', WAITING, id)
    if asked then
        record.since = unpacked(asked).since
    else
        redis.call('ZADD', QUEUE, emit('lock.waiting', id, '0', told(record)), id)
        redis.call('SADD', CONTENDED, KIND .. ' ' .. NAME)
    end
    redis.call('HSET', WAITING, id, packed(record))
end
if mode == 'party' then
    serve(found, count)
    if found[id] then return held(found[id]) end
    if stay == 0 then
        leave_queue(id)
        emit('lock.gave_up', id, '0', '{}')
    end
end
settle(found)
local left = text(math.max(0, (first_end(found) or now + NO_LEASE_MS * 1000) - now))
local place = redis.call('ZRANK', QUEUE, id)
if place then return {'waiting', place + 1, left, NOW} end
return {'busy', left}
