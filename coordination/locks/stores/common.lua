-- What every script of locks shares; the store puts it in front of each of them.
--
-- KEYS[1] held      hash    id → who holds, as packed by `pack`
-- KEYS[2] queue     zset    id by the position of its arrival
-- KEYS[3] waiting   hash    id → who waits, as packed by `pack`
-- KEYS[4] answers   string  what became of the id of this call, for calls that are repeated
-- KEYS[5] token     string  the last token given on this shard
-- KEYS[6] position  string  how many events this shard has recorded
-- KEYS[7] events    stream  one entry an event, its id the position
-- ARGV[1] name
-- ARGV[2] node      who calls, for the history
--
-- Times are microseconds of this server's clock, tokens too. Both stay below 2^53, where a Lua
-- number is exact, but `tostring` and cjson would round them: only `text` makes them strings.

local HELD, QUEUE, WAITING, ANSWER = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local TOKEN, POSITION, EVENTS = KEYS[5], KEYS[6], KEYS[7]
local NAME, NODE = ARGV[1], ARGV[2]

local EVENTS_KEPT = 100000
local SERVED_MAX = 64      -- waiters looked at by one call: a script holds up the whole server
local CLAIM_MS = 1500      -- how long a waiter that was handed the lock may take to say that it lives
local ABANDONED_MS = 3600000

local function text(number)
    return string.format('%.0f', number)
end

local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]

local function emit(kind, id, token, ...)
    local position = text(redis.call('INCR', POSITION))
    redis.call('XADD', EVENTS, 'MAXLEN', '~', EVENTS_KEPT, position .. '-0',
        'kind', kind, 'name', NAME, 'at', text(now), 'node', NODE, 'id', id, 'token', token, ...)
    return position
end

-- A holder's or waiter's record: strings only, in this order.
local FIELDS = {'mode', 'token', 'since', 'until', 'ttl', 'owner', 'context', 'metadata', 'channel',
    'state', 'revoke'}

local function pack(record)
    local values = {}
    for index, field in ipairs(FIELDS) do values[index] = record[field] end
    return cjson.encode(values)
end

local function unpack_record(packed)
    local record = {}
    for index, value in ipairs(cjson.decode(packed)) do record[FIELDS[index]] = value end
    return record
end

-- Holders whose lease has not run out; the others lose theirs here.
local function holders()
    local found, count = {}, 0
    local all = redis.call('HGETALL', HELD)
    for index = 1, #all, 2 do
        local id, record = all[index], unpack_record(all[index + 1])
        if tonumber(record['until']) > now then
            found[id] = record
            count = count + 1
        else
            redis.call('HDEL', HELD, id)
            emit('lock.expired', id, record.token, 'owner', record.owner, 'state', record.state)
        end
    end
    return found, count
end

local function compatible(mode, found, count)
    if count == 0 then return true end
    if mode ~= 'shared' then return false end
    for _, record in pairs(found) do
        if record.mode ~= 'shared' then return false end
    end
    return true
end

local function next_token()
    local last = tonumber(redis.call('GET', TOKEN) or '0')
    local token = text(math.max(now, last + 1))
    redis.call('SET', TOKEN, token)
    return token
end

local function emit_holding(kind, id, record)
    emit(kind, id, record.token, 'mode', record.mode, 'owner', record.owner,
        'until', record['until'], 'context', record.context, 'metadata', record.metadata)
end

local function grant(id, record, state, lease_ms)
    record.token = next_token()
    record.since = text(now)
    record['until'] = text(now + lease_ms * 1000)
    record.state = state
    redis.call('HSET', HELD, id, pack(record))
    emit_holding(state == 'held' and 'lock.granted' or 'lock.handed', id, record)
    return record
end

local function leave_queue(id)
    redis.call('ZREM', QUEUE, id)
    redis.call('HDEL', WAITING, id)
end

-- Hand the lock to those at the head of the queue who may have it now, dead ones skipped.
local function serve(found, count)
    for _ = 1, SERVED_MAX do
        local head = redis.call('ZRANGE', QUEUE, 0, 0)[1]
        if not head then return end
        local packed = redis.call('HGET', WAITING, head)
        local record = packed and unpack_record(packed)
        if not record then
            leave_queue(head)
        elseif tonumber(record['until']) <= now then
            leave_queue(head)
            emit('lock.gave_up', head, '0', 'owner', record.owner)
        elseif compatible(record.mode, found, count) then
            leave_queue(head)
            found[head] = grant(head, record, 'handed', CLAIM_MS)
            count = count + 1
            redis.call('PUBLISH', record.channel, head)
        else
            return
        end
    end
end

-- When the first of the leases runs out, in microseconds; nil when nobody holds it.
local function first_end(found)
    local first
    for _, record in pairs(found) do
        local ends = tonumber(record['until'])
        if not first or ends < first then first = ends end
    end
    return first
end

-- Let Redis forget what nobody will ever ask for again.
local function settle(found)
    local latest = now
    for _, record in pairs(found) do latest = math.max(latest, tonumber(record['until'])) end
    local kept = text((latest - now) / 1000 + ABANDONED_MS)
    for _, key in ipairs({HELD, QUEUE, WAITING}) do redis.call('PEXPIRE', key, kept) end
end
