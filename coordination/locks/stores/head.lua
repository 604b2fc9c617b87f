-- What every script of locks begins with; the store puts it in front of each of them.
--
-- KEYS[1] held       hash    id → who holds, as packed by `pack`
-- KEYS[2] queue      zset    id by the stamp of its arrival
-- KEYS[3] waiting    hash    id → who waits, as packed by `pack`
-- KEYS[4] answer     string  what became of the id of this call, for calls that are repeated
-- KEYS[5] events     stream  one entry an event; its id, the stamp, is the token of a grant
-- KEYS[6] contended  set     "kind name" of what somebody waits for
-- ARGV[1] kind   ARGV[2] name
-- ARGV[3] node   who calls, for the history
--
-- Times are microseconds of this server's clock, tokens too. Both stay below 2^53, where a Lua
-- number is exact, but `tostring` and cjson would round them: only `text` makes them strings.

local HELD, QUEUE, WAITING, ANSWER, EVENTS, CONTENDED =
    KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local KIND, NAME, NODE = ARGV[1], ARGV[2], ARGV[3]

local EVENTS_KEPT = '10000'    -- a number would be made a string with every call
local CLAIM_MS = 1500      -- how long a waiter that was handed the lock may take to say that it lives
local ABANDONED_MS = 3600000
local NO_LEASE_MS = 60000  -- how soon to look again where no lease stands in the way

local function text(number)
    return string.format('%.0f', number)
end

local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
-- Its digits; `text` would take longer than the rest of this line.
local NOW = clock[1] .. string.sub('000000', #clock[2] + 1) .. clock[2]
local stamp, digits = now, NOW

-- Record an event under the time, or the last stamp plus one; returns its stamp. A stream takes no
-- id that is not greater than its last, so it remembers by itself what no token may fall below.
-- One field of one string: an entry of many takes the server twice as long. token '' is the stamp;
-- data is JSON, so it holds no newline.
local function emit(what, id, token, data)
    local packed = what .. '\n' .. KIND .. '\n' .. NAME .. '\n' .. NOW .. '\n' .. NODE .. '\n'
        .. id .. '\n' .. token .. '\n' .. data
    local at = digits or text(stamp)
    local added = redis.pcall('XADD', EVENTS, 'MAXLEN', '~', EVENTS_KEPT, at .. '-0', 'e', packed)
    if added.err then
        -- Any other error comes again, from the second XADD.
        local told = redis.pcall('XINFO', 'STREAM', EVENTS)
        for index = 1, #told, 2 do
            if told[index] == 'last-generated-id' then
                stamp = tonumber(string.match(told[index + 1], '^%d+')) + 1
            end
        end
        at = text(stamp)
        redis.call('XADD', EVENTS, 'MAXLEN', '~', EVENTS_KEPT, at .. '-0', 'e', packed)
    end
    stamp, digits = stamp + 1, nil
    return at
end

-- What the one who has it is told: one string, of which the server makes a reply sooner than of a
-- list. `revoke` is '' when nobody asked for it back.
local function told_held(token, since, ends, revoke, index)
    return token .. ' ' .. since .. ' ' .. ends .. ' ' .. NOW .. ' ' .. revoke .. ' ' .. index
end

-- What an event tells of a holder or waiter: who, how, beside how many, and when its lease ends.
local function told_who(mode, limit, ends, who)
    return '{"mode":"' .. mode .. '","limit":' .. limit .. ',"until":' .. ends
        .. ',"who":' .. who .. '}'
end

-- A holder's or waiter's record: strings without a newline, in this order.
local function pack(state, mode, limit, token, since, ends, ttl, revoke, index, bell, who)
    return state .. '\n' .. mode .. '\n' .. limit .. '\n' .. token .. '\n' .. since .. '\n'
        .. ends .. '\n' .. ttl .. '\n' .. revoke .. '\n' .. index .. '\n' .. bell .. '\n' .. who
end
