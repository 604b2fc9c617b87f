-- What every script of queues begins with; the store puts it in front of each of them.
--
-- KEYS[1]  config    hash    d: its declaration, s: last sequence number, v: events so far,
--                            pp and pc: 1 while publishing and consuming are paused; rooms: for
--                            how many messages room is held; and totals
-- KEYS[2]  messages  hash    id → what was published, as packed by `packed`
-- KEYS[3]  ready     zset    id by priority and sequence number; a suspect is below 0
-- KEYS[4]  delayed   zset    id by the time when it is due
-- KEYS[5]  inflight  zset    id by the time when its lease ends
-- KEYS[6]  taken     hash    id → attempts, op of who has it ('' nobody), suspect, last error
-- KEYS[7]  grouped   zset    group and sequence number and id, of those behind one of their group
-- KEYS[8]  busy      hash    group → id of the one that the others wait for
-- KEYS[9]  expiring  zset    id, not in flight, by the time when it is of no use any more
-- KEYS[10] waiters   zset    'channel op' of who waits, by the time until which he does
-- KEYS[11] answer    string  what became of this call, for calls that are repeated
-- KEYS[12] events    stream  one entry a change, of one or many messages
-- KEYS[13] names     set     of the queues of the shard
-- KEYS[14] fifo      list    heads of blocks of ready messages: as they were published together,
--                            until somebody asks for one of them alone (`unroll`)
-- KEYS[15] held      hash    op → heads of blocks in flight, a line each, which stand in `inflight`
--                            as '\0' and the op, until one is settled alone (`scatter`)
-- KEYS[16] blocks    hash    sequence number of its first message → the lines of a block
--
-- A block's head is 'sequence number of its first, time, how many, ids'. Its lines are of each
-- message its id, its headers and its body. They are all of priority 0 and nothing else; config
-- counts in `fifo` and in `held` how many messages stand there. A message of its own costs the
-- server ten times as much.
--
-- ARGV[1] name   ARGV[2] node: who calls, for the history   ARGV[3] op
--
-- Where the server is out of memory (`maxmemory`), a script may do nothing that takes some before
-- its first write. What has to go on then, so that a full queue can be emptied, begins with a write
-- that takes none: a waiter '' leaves, who never came.
--
-- Times are microseconds of this server's clock, below 2^53, where a Lua number is exact; only
-- `text` makes them strings, since `..` would round them.

local NAME, NODE, OP = ARGV[1], ARGV[2], ARGV[3]
local EVENTS_KEPT = '20000'

local function text(number)
    return string.format('%.0f', number)
end

local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local NOW = clock[1] .. string.sub('000000', #clock[2] + 1) .. clock[2]

-- Record a change. One field of one string: an entry of many takes the server twice as long. The
-- version is the queue's own and has no gap. `data` is JSON, so it holds no newline.
local function emit(config, events, what, name, data)
    local version = redis.call('HINCRBY', config, 'v', 1)
    redis.call('XADD', events, 'MAXLEN', '~', EVENTS_KEPT, '*', 'e', what .. '\n' .. name .. '\n'
        .. NOW .. '\n' .. NODE .. '\n' .. OP .. '\n' .. version .. '\n' .. data)
end

local function told(ids)
    return '["' .. table.concat(ids, '","') .. '"]'
end

-- Where in `ready` a message stands: doubles are exact up to 2^53, so there is room for 10^12
-- messages of each of ten priorities.
local function score(priority, seq)
    return (9 - priority) * 1e12 + seq
end

local HEAD = '^(%d+) (%d+) (%d+) ([^\n]*)'

-- Of heads, a line each: how many messages, their ids as JSON has them in a list, the first numbers.
local function heads_of(heads)
    local number, ids, seqs = 0, {}, {}
    for head in string.gmatch(heads, '[^\n]+') do
        local seq, _, of_this, named = string.match(head, HEAD)
        number = number + of_this
        ids[#ids + 1], seqs[#seqs + 1] = named, seq
    end
    return number, table.concat(ids, ','), seqs
end

-- The messages of blocks each get a record of its own, as `packed` has it; `act(id, seq)` is called
-- for each. Returns how many there were.
local function recorded(heads, act)
    local records = {}
    for head in string.gmatch(heads, '[^\n]+') do
        local seq, at = string.match(head, HEAD)
        local lines, index = redis.call('HGET', KEYS[16], seq), 0
        for id, tail in string.gmatch(lines, '([^\n]*)\n([^\n]*\n[^\n]*)\n') do
            table.insert(records, id)
            table.insert(records, (seq + index) .. '\n' .. at .. '\n0\n\n0\n0\n\n\n' .. tail)
            act(id, seq + index)
            index = index + 1
        end
        redis.call('HDEL', KEYS[16], seq)
    end
    redis.call('HSET', KEYS[2], unpack(records))
    return #records / 2
end

-- A block whose head left `fifo`, each message for itself.
local function unroll(head)
    local places = {}
    local number = recorded(head, function(id, seq)
        table.insert(places, score(0, seq))
        table.insert(places, id)
    end)
    redis.call('ZADD', KEYS[3], unpack(places))
    redis.call('HINCRBY', KEYS[1], 'fifo', -number)
end

-- Blocks in flight, each message for itself.
local function scatter(op)
    local heads = redis.call('HGET', KEYS[15], op)
    if not heads then return end
    local ends, leases, takings = redis.call('ZSCORE', KEYS[5], '\0' .. op), {}, {}
    local number = recorded(heads, function(id)
        table.insert(leases, ends)
        table.insert(leases, id)
        table.insert(takings, id)
        table.insert(takings, '1\n' .. op .. '\n0\n')
    end)
    redis.call('ZADD', KEYS[5], unpack(leases))
    redis.call('HSET', KEYS[6], unpack(takings))
    redis.call('ZREM', KEYS[5], '\0' .. op)
    redis.call('HDEL', KEYS[15], op)
    redis.call('HINCRBY', KEYS[1], 'held', -number)
end

-- The same for those that first attempts are proven of.
local function scatter_proven(proofs)
    if redis.call('EXISTS', KEYS[15]) == 0 then return end
    local seen = {}
    for _, proof in ipairs(proofs) do
        local op = string.match(proof, '^1\n(.*)$')
        if op and not seen[op] then
            seen[op] = true
            scatter(op)
        end
    end
end

-- Wake as many as there may be work for. Who is dead hears nothing, and who has given up listens no
-- more, so the next one is told.
local function wake(waiters, count)
    while count > 0 do
        local popped = redis.call('ZPOPMIN', waiters, count)
        if #popped == 0 then return end
        for index = 1, #popped, 2 do
            local channel, op = string.match(popped[index], '^(.*) (.*)$')
            if tonumber(popped[index + 1]) > now and redis.call('PUBLISH', channel, op) > 0 then
                count = count - 1
            end
        end
    end
end
