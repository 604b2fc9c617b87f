-- Put messages into the queue, all or none.
--
-- ARGV[4] kept      how long the answer is remembered, milliseconds
-- ARGV[5] bound     messages that it may hold; '' as many as there is room for
-- ARGV[6] window    of dedup ids, milliseconds
-- ARGV[7] content   what is kept behind the answer: a line's end and a digest of this call, or ''
-- ARGV[8] form      'block': then of each block how many, their ids, and their lines
--                   'full': id, priority, delay in us, due, expires in us, group, dedup ('1'), tail
-- KEYS[17…]         of a full message with a dedup id: where its first is remembered, in order
--   → 'ok' | 'as id id …', a duplicate as the id of its first | 'undeclared' | 'paused' | 'full'
local state = redis.call('HMGET', KEYS[1], 'd', 'pp', 'fifo', 'held', 'rooms')
if not state[1] then return 'undeclared' end
local answered = redis.call('GET', KEYS[11])
if answered then return answered end
if state[2] == '1' then return 'paused' end

local function crowded(number)
    return ARGV[5] ~= '' and redis.call('HLEN', KEYS[2]) + (state[3] or 0) + (state[4] or 0)
        + (state[5] or 0) + number > tonumber(ARGV[5])
end

-- What is of no use any more shall not stand in the way.
if ARGV[5] ~= '' and redis.call('ZCOUNT', KEYS[9], '-inf', NOW) > 0 then
    --#shelf
    local q, steps = at(NAME, 1), 0
    repeat steps = steps + 1 until expire(q) == 0 or steps == 20
end

-- It stands before the functions, since making them takes longer than all of this.
if ARGV[8] == 'block' then
    local coming, heads, lines, ids = 0, {}, {}, {}
    for from = 9, #ARGV, 3 do coming = coming + ARGV[from] end
    if crowded(coming) then return 'full' end
    local seq = redis.call('HINCRBY', KEYS[1], 's', coming) - coming + 1
    for from = 9, #ARGV, 3 do
        heads[#heads + 1] = seq .. ' ' .. NOW .. ' ' .. ARGV[from] .. ' ' .. ARGV[from + 1]
        lines[#lines + 1], lines[#lines + 2] = seq, ARGV[from + 2]
        ids[#ids + 1] = ARGV[from + 1]
        seq = seq + ARGV[from]
    end
    redis.call('HSET', KEYS[16], unpack(lines))
    redis.call('RPUSH', KEYS[14], unpack(heads))
    redis.call('HINCRBY', KEYS[1], 'fifo', coming)
    redis.call('SET', KEYS[11], 'ok' .. ARGV[7], 'PX', ARGV[4])
    emit(KEYS[1], KEYS[12], 'message.published', NAME,
        '{"ids":[' .. table.concat(ids, ',') .. ']}')
    wake(KEYS[10], coming)
    return 'ok'
end

--#shelf

local q = at(NAME, 1)

local coming = (#ARGV - 8) / 8
local answers, fresh, window, keyed, first_of = {}, {}, ARGV[6], 16, {}
for index = 1, coming do
    local from = 8 * index + 1
    local id, first = ARGV[from], nil
    if ARGV[from + 6] == '1' then
        keyed = keyed + 1
        -- Two of this call may be the same message, too.
        first = first_of[KEYS[keyed]] or redis.call('GET', KEYS[keyed])
        if not first then first_of[KEYS[keyed]] = id end
    end
    answers[index] = first or id
    if not first then table.insert(fresh, from) end
end
if crowded(#fresh) then return 'full' end
for key, id in pairs(first_of) do redis.call('SET', key, id, 'PX', window) end
local ids, ready = {}, 0
local priorities, dues, groups = {}, {}, {}
for index, from in ipairs(fresh) do
    local delay, due, lasts = tonumber(ARGV[from + 2]), ARGV[from + 3], tonumber(ARGV[from + 4])
    if delay > 0 then due = text(now + delay) end
    priorities[index], dues[index], groups[index] = ARGV[from + 1], due, cjson.encode(ARGV[from + 5])
    enqueue(q, ARGV[from], {
        at = NOW, priority = ARGV[from + 1], group = ARGV[from + 5], due = due, source = '',
        error = '', expires = lasts > 0 and text(now + lasts) or '0', tail = ARGV[from + 7],
    })
    table.insert(ids, ARGV[from])
    ready = ready + 1
end
local answer = 'as ' .. table.concat(answers, ' ')
redis.call('SET', KEYS[11], answer .. ARGV[7], 'PX', ARGV[4])
if #ids > 0 then
    emit(q.config, q.events, 'message.published', NAME, '{"ids":' .. told(ids) .. ',"priorities":['
        .. table.concat(priorities, ',') .. '],"dues":[' .. table.concat(dues, ',') .. '],"groups":['
        .. table.concat(groups, ',') .. ']}')
    -- Also for one that is due later: whoever waits has to learn until when he may sleep.
    wake(q.waiters, ready)
end
return answer
