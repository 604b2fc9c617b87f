-- What the scripts of locks share behind `head.lua`.

local SERVED_MAX = 64      -- waiters handed it by one call: a script holds up the whole server

local PACKED = '^' .. string.rep('([^\n]*)\n', 10) .. '(.*)$'

local function unpacked(packed)
    local record = {}
    record.state, record.mode, record.limit, record.token, record.since, record.ends, record.ttl,
        record.revoke, record.index, record.bell, record.who = string.match(packed, PACKED)
    return record
end

local function packed(record)
    return pack(record.state, record.mode, record.limit, record.token, record.since, record.ends,
        record.ttl, record.revoke, record.index, record.bell, record.who)
end

local function told(record)
    return told_who(record.mode, record.limit, record.ends, record.who)
end

-- Holders whose lease has not run out; the others lose theirs here.
local function holders()
    local found, count = {}, 0
    local all = redis.call('HGETALL', HELD)
    for index = 1, #all, 2 do
        local id, record = all[index], unpacked(all[index + 1])
        if tonumber(record.ends) > now then
            found[id] = record
            count = count + 1
        else
            redis.call('HDEL', HELD, id)
            emit('lock.expired', id, record.token, '{"state":"' .. record.state .. '"}')
        end
    end
    return found, count
end

-- The rule of `machine.py`; a party is let go by `serve`.
local function compatible(record, found, count)
    if record.mode == 'permit' then return count < tonumber(record.limit) end
    if count == 0 then return true end
    if record.mode ~= 'shared' then return false end
    for _, holder in pairs(found) do
        if holder.mode ~= 'shared' then return false end
    end
    return true
end

-- Its event's stamp is the token.
local function grant(id, record, state, lease_ms)
    record.since = NOW
    record.ends = text(now + lease_ms * 1000)
    record.state = state
    record.token = emit(state == 'held' and 'lock.granted' or 'lock.handed', id, '', told(record))
    redis.call('HSET', HELD, id, packed(record))
    return record
end

local function leave_queue(id)
    redis.call('ZREM', QUEUE, id)
    redis.call('HDEL', WAITING, id)
end

-- The first `wanted` who wait and live, in order; the dead before them leave the queue.
local function first_living(wanted)
    local living, dropped = {}, 0
    while #living < wanted and dropped < SERVED_MAX do
        local id = redis.call('ZRANGE', QUEUE, #living, #living)[1]
        if not id then break end
        local raw = redis.call('HGET', WAITING, id)
        local record = raw and unpacked(raw)
        if record and tonumber(record.ends) > now then
            table.insert(living, {id = id, record = record})
        else
            leave_queue(id)
            dropped = dropped + 1
            if record then emit('lock.gave_up', id, '0', '{}') end
        end
    end
    return living
end

-- Give it to a waiter, who has to say within a moment that it lives. It is told all of it, so
-- that it need not ask for it first.
local function hand(waiter, found)
    leave_queue(waiter.id)
    found[waiter.id] = grant(waiter.id, waiter.record, 'handed', CLAIM_MS)
    local record = waiter.record
    redis.call('PUBLISH', record.bell, waiter.id .. ' '
        .. told_held(record.token, record.since, record.ends, record.revoke, record.index))
end

-- Hand the lock to those at the head of the queue who may have it now, dead ones skipped.
local function serve(found, count)
    for _ = 1, SERVED_MAX do
        local head = first_living(1)[1]
        if not head then return end
        if head.record.mode == 'party' then
            local wanted = tonumber(head.record.limit)
            if redis.call('ZCARD', QUEUE) < wanted then return end
            local together = first_living(wanted)
            if #together < wanted then return end
            for index, each in ipairs(together) do
                each.record.index = tostring(index - 1)
                hand(each, found)
            end
        elseif compatible(head.record, found, count) then
            hand(head, found)
        else
            return
        end
        count = count + 1
    end
end

-- When the first of the leases runs out, in microseconds; nil when nobody holds it.
local function first_end(found)
    local first
    for _, record in pairs(found) do
        local ends = tonumber(record.ends)
        if not first or ends < first then first = ends end
    end
    return first
end

-- Let Redis forget what nobody will ever ask for again.
local function settle(found)
    local latest = now
    for _, record in pairs(found) do latest = math.max(latest, tonumber(record.ends)) end
    local kept = text((latest - now) / 1000 + ABANDONED_MS)
    redis.call('PEXPIRE', HELD, kept)
    if redis.call('PEXPIRE', QUEUE, kept) == 1 then
        redis.call('PEXPIRE', WAITING, kept)
    else
        redis.call('SREM', CONTENDED, KIND .. ' ' .. NAME)
    end
end
