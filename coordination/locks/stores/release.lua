-- Give the lock back, or a place in its queue up, and hand it to the next.
--
-- ARGV[3] id
-- ARGV[4] kept   how long the answer is remembered, milliseconds
--   → 'released' | 'left' (it was waiting) | 'lost' (it has neither: it ran out, or never had it)
local id = ARGV[3]
local found, count = holders()
local mine, answer = found[id], 'lost'
if mine then
    redis.call('HDEL', HELD, id)
    found[id] = nil
    count = count - 1
    -- A repetition of this call is told the same.
    redis.call('SET', ANSWER, 'released', 'PX', ARGV[4])
    emit('lock.released', id, mine.token, 'owner', mine.owner)
    answer = 'released'
elseif redis.call('ZSCORE', QUEUE, id) then
    leave_queue(id)
    -- A copy of the call that arrives late must not be granted to nobody.
    redis.call('SET', ANSWER, 'left', 'PX', ARGV[4])
    emit('lock.gave_up', id, '0')
    answer = 'left'
elseif redis.call('GET', ANSWER) == 'released' then
    answer = 'released'
else
    emit('lock.release_refused', id, '0')
    redis.call('SET', ANSWER, 'left', 'PX', ARGV[4])
end
if redis.call('EXISTS', HELD, QUEUE) > 0 then
    serve(found, count)
    settle(found)
end
return answer
