-- Give the lock back, or a place in its queue up, and hand it to the next.
--
-- ARGV[4] id
-- ARGV[5] kept   how long the answer is remembered, milliseconds
-- ARGV[6] said   JSON for the history: why
--   → 'released' | 'left' (it was waiting) | 'lost' (it has neither: it ran out, or never had it)
local id = ARGV[4]

-- It alone has it, and nobody waits, or first one who lives and wants it alone: the rest of the
-- script would come to the same.
local all = redis.call('HGETALL', HELD)
if all[1] == id and not all[3] then
    local token, ends = string.match(all[2], '^%a+\n%a+\n%d+\n(%d+)\n%d+\n(%d+)\n')
    local head = tonumber(ends) > now and redis.call('ZRANGE', QUEUE, 0, 0)
    if head and not head[1] then
        redis.call('DEL', HELD)
        redis.call('SET', ANSWER, 'released', 'PX', ARGV[5])
        emit('lock.released', id, token, ARGV[6])
        return 'released'
    end
    local packed = head and redis.call('HGET', WAITING, head[1])
    local stays, ttl, bell, who
    if packed then
        stays, ttl, bell, who = string.match(packed,
            '^waiting\nexclusive\n1\n0\n%d+\n(%d+)\n(%d+)\n\n0\n([^\n]*)\n(.*)$')
    end
    if stays and tonumber(stays) > now then
        local waiter, claimed = head[1], text(now + CLAIM_MS * 1000)
        redis.call('SET', ANSWER, 'released', 'PX', ARGV[5])
        emit('lock.released', id, token, ARGV[6])
        local given = emit('lock.handed', waiter, '', told_who('exclusive', '1', claimed, who))
        redis.call('ZREM', QUEUE, waiter)
        redis.call('HDEL', WAITING, waiter)
        if redis.call('EXISTS', QUEUE) == 0 then
            redis.call('SREM', CONTENDED, KIND .. ' ' .. NAME)
        end
        redis.call('HSET', HELD, waiter,
            pack('handed', 'exclusive', '1', given, NOW, claimed, ttl, '', '0', bell, who))
        redis.call('HDEL', HELD, id)
        redis.call('PEXPIRE', HELD, text(CLAIM_MS + ABANDONED_MS))
        redis.call('PUBLISH', bell, waiter .. ' ' .. told_held(given, NOW, claimed, '', '0'))
        return 'released'
    end
end

--#common

local found, count = holders()
local mine, answer = found[id], 'lost'
if mine then
    redis.call('HDEL', HELD, id)
    found[id] = nil
    count = count - 1
    -- A repetition of this call is told the same.
    redis.call('SET', ANSWER, 'released', 'PX', ARGV[5])
    emit('lock.released', id, mine.token, ARGV[6])
    answer = 'released'
elseif redis.call('ZSCORE', QUEUE, id) then
    leave_queue(id)
    -- A copy of the call that arrives late must not be granted to nobody.
    redis.call('SET', ANSWER, 'left', 'PX', ARGV[5])
    emit('lock.gave_up', id, '0', ARGV[6])
    answer = 'left'
elseif redis.call('GET', ANSWER) == 'released' then
    answer = 'released'
else
    emit('lock.release_refused', id, '0', '{}')
    redis.call('SET', ANSWER, 'left', 'PX', ARGV[5])
end
if redis.call('EXISTS', HELD, QUEUE) > 0 then serve(found, count) end
settle(found)
return answer
