-- Take messages, or wait for one.
--
-- ARGV[4] kept          how long the answer is remembered, milliseconds
-- ARGV[5] count         at most so many
-- ARGV[6] visibility    microseconds
-- ARGV[7] max attempts  0: none dies
-- ARGV[8] waiter        'channel op'   ARGV[9] stay: how long it waits, microseconds; 0: not at all
--   → 'undeclared' | {dying, microseconds until there may be one without a word; 0: this call did
--      all that one may, and another may find some; then 'block' and heads of blocks and of each
--      its lines,
--      or of each message its id, attempts, suspect, error and record}
local state = redis.call('HMGET', KEYS[1], 'd', 'pc', 'fifo')
if not state[1] then return 'undeclared' end

-- The reply that tells of blocks.
local function with_lines(heads, reply)
    local _, _, seqs = heads_of(heads)
    for _, lines in ipairs(redis.call('HMGET', KEYS[16], unpack(seqs))) do
        reply[#reply + 1] = lines
    end
    return reply
end

-- Of the given ids those that this call has.
local function had(ids, reply)
    local all, takings = redis.call('HMGET', KEYS[2], unpack(ids)),
        redis.call('HMGET', KEYS[6], unpack(ids))
    for index, id in ipairs(ids) do
        local attempts, op, suspect, error =
            string.match(takings[index] or '', '^(%d+)\n([^\n]*)\n(%d)\n(.*)$')
        if op == OP and all[index] then
            local size = #reply
            reply[size + 1], reply[size + 2], reply[size + 3] = id, attempts, suspect
            reply[size + 4], reply[size + 5] = error, all[index]
        end
    end
    return reply
end

local answered = redis.call('GET', KEYS[11])
if answered then
    local heads, ids = redis.call('HGET', KEYS[15], OP), {}
    if heads then return with_lines(heads, {0, 0, 'block', heads}) end
    for id in string.gmatch(answered, '[^ ",]+') do table.insert(ids, id) end
    return had(ids, {0, 60000000})
end

local dying, more = 0, false
-- What there is nothing to do for takes three looks and no functions.
if redis.call('ZCOUNT', KEYS[5], '-inf', NOW) + redis.call('ZCOUNT', KEYS[4], '-inf', NOW)
        + redis.call('ZCOUNT', KEYS[9], '-inf', NOW) > 0 then
    redis.call('ZREM', KEYS[10], '')   -- so that it works while memory is full: see head.lua
    --#shelf
    local q = at(NAME, 1)
    expire(q)
    dying = lapse(q, tonumber(ARGV[7]))
    come_due(q)
    -- What lapsed may have expired meanwhile.
    expire(q)
    if state[2] ~= '1' then
        if not weed(q, tonumber(ARGV[5])) then return {dying, '0'} end
        more = redis.call('ZCOUNT', KEYS[9], '-inf', NOW) > 0
    end
end

local popped, before_fifo = {}, nil
local wanted = tonumber(ARGV[5])

-- Heads of blocks that come next and are small enough to be taken as they are.
local function blocks()
    local first = redis.call('ZRANGE', KEYS[3], 0, 0, 'WITHSCORES')[2]
    local found, got = {}, 0
    repeat
        local head = redis.call('LPOP', KEYS[14])
        if not head then break end
        local seq, _, number = string.match(head, HEAD)
        if first and tonumber(first) < score(0, seq) then
            redis.call('LPUSH', KEYS[14], head)
            before_fifo = score(0, seq)
            break
        end
        if got + number > wanted then
            if got == 0 then unroll(head) else redis.call('LPUSH', KEYS[14], head) end
            break
        end
        found[#found + 1], got = head, got + number
    until got == wanted or first
    return table.concat(found, '\n'), got
end

if state[2] ~= '1' and state[3] and state[3] ~= '0' then
    local heads, got = blocks()
    if got > 0 then
        local _, ids = heads_of(heads)
        local ends = text(now + ARGV[6])
        redis.call('HSET', KEYS[15], OP, heads)
        redis.call('ZADD', KEYS[5], ends, '\0' .. OP)
        redis.call('HINCRBY', KEYS[1], 'fifo', -got)
        redis.call('HINCRBY', KEYS[1], 'held', got)
        redis.call('HINCRBY', KEYS[1], 'delivered', got)
        redis.call('SET', KEYS[11], ids, 'PX', ARGV[4])
        if ARGV[9] ~= '0' then redis.call('ZREM', KEYS[10], ARGV[8]) end
        emit(KEYS[1], KEYS[12], 'message.taken', NAME, '{"ids":[' .. ids
            .. '],"attempts":[1' .. string.rep(',1', got - 1) .. '],"until":' .. ends .. '}')
        return with_lines(heads, {dying, 0, 'block', heads})
    end
end

if state[2] ~= '1' then
    popped = redis.call('ZPOPMIN', KEYS[3], wanted)
    -- The first is a suspect, or a block comes before those behind it: they stay.
    local alone = #popped > 0 and tonumber(popped[2]) < 0
    local kept, others = {}, {}
    for index = 1, #popped, 2 do
        local stays = alone and index > 1 or before_fifo and tonumber(popped[index + 1]) > before_fifo
        if stays then
            table.insert(others, popped[index + 1])
            table.insert(others, popped[index])
        else
            table.insert(kept, popped[index])
            table.insert(kept, popped[index + 1])
        end
    end
    if #others > 0 then redis.call('ZADD', KEYS[3], unpack(others)) end
    popped = kept
end
if #popped == 0 then
    -- One of a group may be behind what has expired.
    if more then return {dying, '0'} end
    -- Nothing was written yet; see head.lua.
    if state[2] == '1' then redis.call('ZREM', KEYS[10], '') end
    if ARGV[9] ~= '0' then
        redis.call('ZADD', KEYS[10], text(now + ARGV[9]), ARGV[8])
    else
        redis.call('ZREM', KEYS[10], ARGV[8])
    end
    local next_at
    for _, key in ipairs({KEYS[4], KEYS[5]}) do
        local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
        if first[2] and (not next_at or tonumber(first[2]) < next_at) then
            next_at = tonumber(first[2])
        end
    end
    return {dying, text(next_at and math.max(0, next_at - now) or 60000000)}
end

local ids, leases, takings = {}, {}, {}
for index = 1, #popped, 2 do ids[(index + 1) / 2] = popped[index] end
local all, before = redis.call('HMGET', KEYS[2], unpack(ids)),
    redis.call('HMGET', KEYS[6], unpack(ids))
local ends, reply, attempts_of = text(now + ARGV[6]), {dying, 0}, {}
local first_taken = '1\n' .. OP .. '\n0\n'
for index = 1, #ids do
    local id, raw, attempts, suspect, error = ids[index], before[index], '1', '0', ''
    if raw then
        attempts, suspect, error = string.match(raw, '^(%d+)\n[^\n]*\n(%d)\n(.*)$')
        attempts = tostring(attempts + 1)
        -- Whether it kills its taker again is to be seen; what `had` tells is this taking.
        takings[2 * index] = attempts .. '\n' .. OP .. '\n' .. suspect .. '\n' .. error
    else
        takings[2 * index] = first_taken
    end
    takings[2 * index - 1] = id
    leases[2 * index - 1], leases[2 * index] = ends, id
    attempts_of[index] = attempts
    local to = 5 * index - 2
    reply[to], reply[to + 1], reply[to + 2] = id, attempts, suspect
    reply[to + 3], reply[to + 4] = error, all[index]
end
redis.call('ZADD', KEYS[5], unpack(leases))
redis.call('HSET', KEYS[6], unpack(takings))
if redis.call('EXISTS', KEYS[9]) == 1 then redis.call('ZREM', KEYS[9], unpack(ids)) end
redis.call('SET', KEYS[11], table.concat(ids, ' '), 'PX', ARGV[4])
redis.call('HINCRBY', KEYS[1], 'delivered', #ids)
if ARGV[9] ~= '0' then redis.call('ZREM', KEYS[10], ARGV[8]) end
emit(KEYS[1], KEYS[12], 'message.taken', NAME, '{"ids":' .. told(ids) .. ',"attempts":['
    .. table.concat(attempts_of, ',') .. '],"until":' .. ends .. '}')
return reply
