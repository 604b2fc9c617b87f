-- Take the lock, or a place in its queue, or ask how the same call stands.
--
-- ARGV[3] id            names this call for ever: a repetition gets the first answer
-- ARGV[4] mode          exclusive | shared
-- ARGV[5] ttl           of the lease, milliseconds
-- ARGV[6] stay          how long to stay in the queue unless it asks again, ms; 0: not at all
-- ARGV[7] kept          how long the answer is remembered, milliseconds
-- ARGV[8] owner  ARGV[9] context  ARGV[10] metadata  ARGV[11] channel
--   → {'held', token, since, until, now}
--     {'waiting', place from 1, microseconds until the present lease ends}
--     {'busy', microseconds until the present lease ends}
--     {'over', token}   this call had it, and has it no longer
local id, mode, ttl, stay = ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])

local function asking()
    return {
        mode = mode, token = '0', since = text(now), ['until'] = text(now + stay * 1000),
        ttl = ARGV[5], owner = ARGV[8], context = ARGV[9], metadata = ARGV[10],
        channel = ARGV[11], state = 'waiting', revoke = '',
    }
end

-- Nobody has it, nobody waits, nobody called before: what is below would find out the same.
if redis.call('EXISTS', HELD, QUEUE, ANSWER) == 0 then
    local record = grant(id, asking(), 'held', ttl)
    redis.call('SET', ANSWER, record.token, 'PX', ARGV[7])
    redis.call('PEXPIRE', HELD, ttl + ABANDONED_MS)
    return {'held', record.token, record.since, record['until'], text(now)}
end

local found, count = holders()

-- What the one who has it is told. Asking shows that it lives: the lease proper begins.
local function held(record)
    if record.state == 'handed' then
        record.state = 'held'
        record['until'] = text(now + ttl * 1000)
        redis.call('HSET', HELD, id, pack(record))
        redis.call('SET', ANSWER, record.token, 'PX', ARGV[7])
        emit_holding('lock.granted', id, record)
    end
    settle(found)
    return {'held', record.token, record.since, record['until'], text(now)}
end

if found[id] then return held(found[id]) end
local remembered = redis.call('GET', ANSWER)
if remembered then return {'over', remembered} end

serve(found, count)
if found[id] then return held(found[id]) end

local record = asking()
count = redis.call('HLEN', HELD)
if redis.call('EXISTS', QUEUE) == 0 and compatible(mode, found, count) then
    found[id] = grant(id, record, 'held', ttl)
    redis.call('SET', ANSWER, found[id].token, 'PX', ARGV[7])
    return held(found[id])
end
if stay > 0 then
    local asked = redis.call('HGET', WAITING, id)
    if asked then
        record.since = unpack_record(asked).since
    else
        local position = emit('lock.waiting', id, '0', 'mode', mode, 'owner', record.owner,
            'context', record.context, 'metadata', record.metadata)
        redis.call('ZADD', QUEUE, position, id)
    end
    redis.call('HSET', WAITING, id, pack(record))
end
settle(found)
local left = text(math.max(0, (first_end(found) or now) - now))
local place = redis.call('ZRANK', QUEUE, id)
if place then return {'waiting', place + 1, left} end
return {'busy', left}
