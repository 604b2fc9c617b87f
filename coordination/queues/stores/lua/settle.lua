-- Say what became of taken messages, each by itself.
--
-- ARGV[4] kept   how long the answer is remembered, milliseconds
-- ARGV[5] form   'block': acks of all that one call took: then how many, the op, and their ids
--                'acks': of each message its id and 'attempts\nop', from the receipt
--                'full': the same, and verb, delay in us, error
-- KEYS[17…]      the dead letter queue, as KEYS[1…]; ARGV[6] its name, '' when there is none
--   → 'undeclared' | a digit a message: 1 settled, 0 stale
local answered = redis.call('GET', KEYS[11])
if answered then return answered end
if redis.call('HEXISTS', KEYS[1], 'd') == 0 then return 'undeclared' end

local WIDTH = ARGV[5] == 'full' and 5 or 2
local ids, proofs = {}, {}
if ARGV[5] == 'block' then
    local number, op, named = tonumber(ARGV[7]), ARGV[8], ARGV[9]
    local heads = redis.call('HGET', KEYS[15], op)
    local _, ids_held, seqs = heads_of(heads or '')
    if heads and ids_held == named then
        redis.call('HDEL', KEYS[15], op)
        redis.call('HDEL', KEYS[16], unpack(seqs))
        redis.call('ZREM', KEYS[5], '\0' .. op)
        redis.call('HINCRBY', KEYS[1], 'held', -number)
        redis.call('HINCRBY', KEYS[1], 'acked', number)
        emit(KEYS[1], KEYS[12], 'message.acked', NAME, '{"ids":[' .. named .. ']}')
        local answer = string.rep('1', number)
        redis.call('SET', KEYS[11], answer, 'PX', ARGV[4])
        return answer
    end
    for id in string.gmatch(named, '[^",]+') do
        table.insert(ids, id)
        table.insert(proofs, '1\n' .. op)
    end
else
    for from = 7, #ARGV, WIDTH do
        table.insert(ids, ARGV[from])
        table.insert(proofs, ARGV[from + 1])
    end
end
local number = #ids
scatter_proven(proofs)

local takings = redis.call('HMGET', KEYS[6], unpack(ids))
local answers, good, stale, seen = {}, {}, {}, {}
for index = 1, number do
    local proof = proofs[index] .. '\n'
    local raw, id = takings[index], ids[index]
    -- The same receipt twice in a call is settled by its first.
    if raw and not seen[id] and string.sub(raw, 1, #proof) == proof then
        answers[index], seen[id] = '1', true
        good[#good + 1] = WIDTH == 2 and id or index
    else
        answers[index] = '0'
        stale[#stale + 1] = id
    end
end

local plain = WIDTH == 2 and redis.call('EXISTS', KEYS[8], KEYS[9]) == 0
if plain and #good > 0 then
    redis.call('HDEL', KEYS[2], unpack(good))
    redis.call('HDEL', KEYS[6], unpack(good))
    redis.call('ZREM', KEYS[5], unpack(good))
    redis.call('HINCRBY', KEYS[1], 'acked', #good)
    emit(KEYS[1], KEYS[12], 'message.acked', NAME, '{"ids":' .. told(good) .. '}')
end
if not plain or #good == 0 then
    redis.call('ZREM', KEYS[10], '')   -- so that it works while memory is full: see head.lua
end
if #stale > 0 then
    emit(KEYS[1], KEYS[12], 'message.refused', NAME, '{"ids":' .. cjson.encode(stale) .. '}')
end
local answer = table.concat(answers)
redis.call('SET', KEYS[11], answer, 'PX', ARGV[4])
if plain or #good == 0 then return answer end

--#shelf

local q, dead = at(NAME, 1), at(ARGV[6], 17)
local acked, retried, died, released, freed = {}, {}, {}, {}, 0
local retried_of, died_of, dues = {}, {}, {}   -- what went wrong, and until when nobody takes it

-- Back to where it may be taken from.
local function back(id, m, t, due)
    t.op, t.suspect = '', '0'
    if t.attempts > 0 then keep(q, id, t) else redis.call('HDEL', q.taken, id) end
    redis.call('ZREM', q.inflight, id)
    place(q, id, m, due)
end

for _, index in ipairs(good) do
    local from = WIDTH == 2 and 0 or 7 + WIDTH * (index - 1)
    local id = WIDTH == 2 and index or ARGV[from]
    local verb = WIDTH == 2 and 'ack' or ARGV[from + 2]
    local m = unpacked(redis.call('HGET', q.messages, id))
    local t = attempt(redis.call('HGET', q.taken, id))
    if verb == 'ack' then
        freed = freed + drop(q, id, m)
        acked[#acked + 1] = id
    elseif verb == 'release' then
        t.attempts = t.attempts - 1
        back(id, m, t, 0)
        released[#released + 1] = id
        freed = freed + 1
    elseif verb == 'dead' and ARGV[6] ~= '' then
        m.source, m.error, m.expires = NAME, ARGV[from + 4], '0'
        freed = freed + transfer(q, dead, id, m)
        died[#died + 1], died_of[#died + 1] = id, cjson.encode(ARGV[from + 4])
    else
        local delay = tonumber(ARGV[from + 3])
        t.error = ARGV[from + 4]
        back(id, m, t, now + delay)
        local number = #retried + 1
        retried[number], retried_of[number] = id, cjson.encode(ARGV[from + 4])
        dues[number] = delay > 0 and text(now + delay) or '0'
        freed = freed + 1
    end
end

local function record(what, done, total, more)
    if #done == 0 then return end
    if total then count(q, total, #done) end
    emit(q.config, q.events, what, NAME, '{"ids":' .. told(done) .. (more or '') .. '}')
end
record('message.acked', acked, 'acked', nil)
record('message.retried', retried, nil, ',"errors":[' .. table.concat(retried_of, ',')
    .. '],"dues":[' .. table.concat(dues, ',') .. ']')
record('message.released', released, nil, nil)
record('message.died', died, 'dead', ',"errors":[' .. table.concat(died_of, ',')
    .. '],"to":' .. cjson.encode(ARGV[6]))
if #died > 0 then laid_down(dead, died, NAME) end
-- Also for one that is due later: whoever waits has to learn until when he may sleep.
wake(q.waiters, freed)
return answer
