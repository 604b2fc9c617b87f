-- Where messages stand, and how they get from one place to another; behind `head.lua`.

local TIDIED_MAX = 100     -- messages brought on by one call: a script holds up the whole server
local BLOCKS_MAX = 4
local BATCH_MAX = 1000
local SUSPECT = 1e15

-- The keys of a queue, from KEYS[first] on.
local function at(name, first)
    return {
        name = name, config = KEYS[first], messages = KEYS[first + 1], ready = KEYS[first + 2],
        delayed = KEYS[first + 3], inflight = KEYS[first + 4], taken = KEYS[first + 5],
        grouped = KEYS[first + 6], busy = KEYS[first + 7], expiring = KEYS[first + 8],
        waiters = KEYS[first + 9], answer = KEYS[first + 10], events = KEYS[first + 11],
        names = KEYS[first + 12], fifo = KEYS[first + 13],
    }
end

local PATTERN = '^(%d+)\n(%d+)\n(%d)\n([^\n]*)\n(%d+)\n(%d+)\n([^\n]*)\n([^\n]*)\n(.*)$'

-- tail: the headers and the body, two lines of JSON
local function unpacked(packed)
    local m = {}
    m.seq, m.at, m.priority, m.group, m.expires, m.due, m.source, m.error, m.tail =
        string.match(packed, PATTERN)
    return m
end

local function packed(m)
    return m.seq .. '\n' .. m.at .. '\n' .. m.priority .. '\n' .. m.group .. '\n' .. m.expires
        .. '\n' .. m.due .. '\n' .. m.source .. '\n' .. m.error .. '\n' .. m.tail
end

local function attempt(raw)
    if not raw then return {attempts = 0, op = '', suspect = '0', error = ''} end
    local t = {}
    t.attempts, t.op, t.suspect, t.error = string.match(raw, '^(%d+)\n([^\n]*)\n(%d)\n(.*)$')
    t.attempts = tonumber(t.attempts)
    return t
end

local function keep(q, id, t)
    redis.call('HSET', q.taken, id,
        t.attempts .. '\n' .. t.op .. '\n' .. t.suspect .. '\n' .. t.error)
end

local function count(q, what, number)
    if number > 0 then redis.call('HINCRBY', q.config, what, number) end
end

-- What counts towards its bound: messages in the queue, wherever they stand, and the room that is
-- held for transactions.
local function length(q)
    local blocks = redis.call('HMGET', q.config, 'fifo', 'held', 'rooms')
    return redis.call('HLEN', q.messages) + (blocks[1] or 0) + (blocks[2] or 0) + (blocks[3] or 0)
end

local function behind(m, id)
    return m.group .. '\0' .. string.format('%015d', m.seq) .. '\0' .. id
end

-- To where it may be taken from, now or when it is due; it is the first of its group, if of any.
local function place(q, id, m, due)
    if due > now then
        redis.call('ZADD', q.delayed, text(due), id)
    else
        redis.call('ZADD', q.ready, score(tonumber(m.priority), tonumber(m.seq)), id)
    end
    if m.expires ~= '0' then redis.call('ZADD', q.expiring, m.expires, id) end
end

-- A new message, or one from another queue, to the end of this one.
local function enqueue(q, id, m)
    m.seq = text(redis.call('HINCRBY', q.config, 's', 1))
    redis.call('HSET', q.messages, id, packed(m))
    if m.group ~= '' and redis.call('HSETNX', q.busy, m.group, id) == 0 then
        redis.call('ZADD', q.grouped, 0, behind(m, id))
        if m.expires ~= '0' then redis.call('ZADD', q.expiring, m.expires, id) end
    else
        place(q, id, m, tonumber(m.due))
    end
end

-- The next of its group comes forward; returns whether there was one.
local function next_of_group(q, group)
    local found = redis.call('ZRANGEBYLEX', q.grouped, '[' .. group .. '\0', '(' .. group .. '\1',
        'LIMIT', 0, 1)[1]
    if not found then
        redis.call('HDEL', q.busy, group)
        return false
    end
    redis.call('ZREM', q.grouped, found)
    local id = string.match(found, '^[^%z]*%z[^%z]*%z(.*)$')
    redis.call('HSET', q.busy, group, id)
    local m = unpacked(redis.call('HGET', q.messages, id))
    place(q, id, m, tonumber(m.due))
    return true
end

-- Out of the queue altogether; returns how many of its group came forward.
local function drop(q, id, m)
    redis.call('HDEL', q.messages, id)
    redis.call('HDEL', q.taken, id)
    redis.call('ZREM', q.inflight, id)
    redis.call('ZREM', q.ready, id)
    redis.call('ZREM', q.delayed, id)
    if m.expires ~= '0' then redis.call('ZREM', q.expiring, id) end
    if m.group == '' then return 0 end
    if redis.call('HGET', q.busy, m.group) ~= id then
        redis.call('ZREM', q.grouped, behind(m, id))
        return 0
    end
    return next_of_group(q, m.group) and 1 or 0
end

-- From one queue to the end of another; its attempts begin anew.
local function transfer(from, to, id, m)
    local freed = drop(from, id, m)
    m.due = '0'
    enqueue(to, id, m)
    return freed
end

local function throw_away(q, ids)
    local all = redis.call('HMGET', q.messages, unpack(ids))
    for index, id in ipairs(ids) do drop(q, id, unpacked(all[index])) end
    count(q, 'expired', #ids)
    emit(q.config, q.events, 'message.expired', q.name, '{"ids":' .. told(ids) .. '}')
end

-- Throw away what is of no use any more; returns how many.
local function expire(q)
    local ids = redis.call('ZRANGEBYSCORE', q.expiring, '-inf', NOW, 'LIMIT', 0, TIDIED_MAX)
    if #ids > 0 then throw_away(q, ids) end
    return #ids
end

-- More may have expired at once than that: none of them is given out. Looks at the first `wanted`
-- that are ready, and returns whether it came to an end.
local function weed(q, wanted)
    local thrown = 0
    while redis.call('ZCOUNT', q.expiring, '-inf', NOW) > 0 do
        local ids, over = redis.call('ZRANGE', q.ready, 0, wanted - 1), {}
        if #ids == 0 then return true end
        for index, ends in ipairs(redis.call('ZMSCORE', q.expiring, unpack(ids))) do
            if ends and tonumber(ends) <= now and #over < TIDIED_MAX then
                table.insert(over, ids[index])
            end
        end
        if #over == 0 then return true end
        if thrown >= BATCH_MAX then return false end
        throw_away(q, over)
        thrown = thrown + #over
    end
    return true
end

local function come_due(q)
    local ids = redis.call('ZRANGEBYSCORE', q.delayed, '-inf', NOW, 'LIMIT', 0, TIDIED_MAX)
    if #ids == 0 then return end
    local all, scores = redis.call('HMGET', q.messages, unpack(ids)), {}
    for index, id in ipairs(ids) do
        local seq, priority = string.match(all[index], '^(%d+)\n%d+\n(%d)')
        table.insert(scores, score(tonumber(priority), tonumber(seq)))
        table.insert(scores, id)
    end
    redis.call('ZREM', q.delayed, unpack(ids))
    redis.call('ZADD', q.ready, unpack(scores))
end

-- Those whose taker said nothing in time come first and alone: one of them may have killed it.
-- Returns whether some had their last attempt, which `bury.lua` takes care of.
local function lapse(q, max_attempts)
    local over = redis.call('ZRANGEBYSCORE', q.inflight, '-inf', NOW, 'LIMIT', 0, TIDIED_MAX)
    local ids, scattered = {}, 0
    for _, id in ipairs(over) do
        if string.byte(id) ~= 0 then
            table.insert(ids, id)
        elseif scattered < BLOCKS_MAX then
            scattered = scattered + 1
            scatter(string.sub(id, 2))
        end
    end
    if scattered > 0 then
        -- Their messages are among them now; more blocks wait for the next call.
        ids = {}
        over = redis.call('ZRANGEBYSCORE', q.inflight, '-inf', NOW, 'LIMIT', 0, BATCH_MAX)
        for _, id in ipairs(over) do
            if string.byte(id) ~= 0 then table.insert(ids, id) end
        end
    end
    if #ids == 0 then return 0 end
    local all, takings = redis.call('HMGET', q.messages, unpack(ids)),
        redis.call('HMGET', q.taken, unpack(ids))
    local again, dying = {}, 0
    for index, id in ipairs(ids) do
        local m, t = unpacked(all[index]), attempt(takings[index])
        if max_attempts > 0 and t.attempts >= max_attempts then
            dying = 1
        else
            t.op, t.suspect = '', '1'
            keep(q, id, t)
            redis.call('ZREM', q.inflight, id)
            redis.call('ZADD', q.ready, tonumber(m.seq) - SUSPECT, id)
            if m.expires ~= '0' then redis.call('ZADD', q.expiring, m.expires, id) end
            table.insert(again, id)
        end
    end
    if #again > 0 then
        count(q, 'lapsed', #again)
        emit(q.config, q.events, 'message.lapsed', q.name, '{"ids":' .. told(again) .. '}')
    end
    return dying
end

-- Messages came into a dead letter queue.
local function laid_down(dead, ids, source)
    count(dead, 'moved_in', #ids)
    emit(dead.config, dead.events, 'message.buried', dead.name,
        '{"ids":' .. told(ids) .. ',"source":' .. cjson.encode(source) .. '}')
    wake(dead.waiters, #ids)
end

-- Look through messages that are ready or delayed or behind one of their group, and that were in
-- the queue when the first step began, until `limit` are taken away; `act` says whether it took the
-- message away, and how many of its group came forward. Those are the next that it looks at: a
-- group goes as one, whatever stands between its messages.
-- Returns those it took, and the cursor of the next step, '' when all were looked at. Skipped ones
-- are counted by their place, so one may be missed where others take from before it.
local function walk(q, limit, cursor, act)
    local places = {q.ready, q.delayed, q.grouped}
    local last, phase, skipped, group = string.match(cursor, '^(%d+):(%d):(%d+):(.*)$')
    last = tonumber(last or redis.call('HGET', q.config, 's') or 0)
    phase, skipped = tonumber(phase or 1), tonumber(skipped or 0)
    local taken, freed, unfinished = {}, 0, ''

    -- This one, and whoever comes forward for it; returns whether this one was taken away.
    local function follow(id, m)
        local first = #taken
        while m and tonumber(m.seq) <= last do
            if #taken == limit then
                unfinished = m.group
                break
            end
            local took, came = act(id, m)
            if not took then break end
            table.insert(taken, id)
            if came == 0 then return true end
            id = redis.call('HGET', q.busy, m.group)
            m = unpacked(redis.call('HGET', q.messages, id))
        end
        if #taken == first then return false end
        freed = freed + 1
        return true
    end

    local id = group and group ~= '' and redis.call('HGET', q.busy, group)
    if id and not redis.call('ZSCORE', q.inflight, id) then
        follow(id, unpacked(redis.call('HGET', q.messages, id)))
    end
    while phase == 1 and redis.call('ZCARD', q.ready) < skipped + limit do
        local block = redis.call('LPOP', q.fifo)
        if not block then break end
        if tonumber(string.match(block, '^%d+')) > last then
            redis.call('LPUSH', q.fifo, block)
            break
        end
        unroll(block)
    end
    local found = #taken < limit
        and redis.call('ZRANGE', places[phase], skipped, skipped + limit - 1) or {}
    local looked_at = 0
    if #found > 0 then
        local ids = found
        if phase == 3 then
            ids = {}
            for index, member in ipairs(found) do
                ids[index] = string.match(member, '^[^%z]*%z[^%z]*%z(.*)$')
            end
        end
        for index, raw in ipairs(redis.call('HMGET', q.messages, unpack(ids))) do
            if #taken == limit then break end
            looked_at = index
            if not (raw and follow(ids[index], unpacked(raw))) then skipped = skipped + 1 end
        end
    end
    if #taken < limit and looked_at < limit then phase, skipped = phase + 1, 0 end
    wake(q.waiters, freed)
    if phase > 3 then return taken, '' end
    return taken, text(last) .. ':' .. phase .. ':' .. skipped .. ':' .. unfinished
end
