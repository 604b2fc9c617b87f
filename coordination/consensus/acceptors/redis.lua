-- Messages to one acceptor, each of one register.
--
-- KEYS[1] seat     hash  incarnation, version, view, floor: who this acceptor is
-- KEYS[2] periods  set   the periods that have a hash
-- KEYS[3…] cells   hash  key of a register → what is kept of it; one hash a period, one a message
-- ARGV[1] incarnation   ARGV[2] version of the view
-- ARGV[3…] of each message: verb (prepare, accept, look), period, key, ballot of 29 characters, value
--   → {{"unseated", incarnation}} or {{"outdated", version}}; else one a message:
--     {"forgotten", floor} {"promised", accepted} {"agreed"} {"refused", promised} {"seen", accepted}
--
-- Kept is the ballot promised, then the ballot and the value accepted, if any. Ballots have one
-- length and are compared as texts: a Lua number would lose digits.
local seat = redis.call('HMGET', KEYS[1], 'incarnation', 'version', 'floor')
if seat[1] ~= ARGV[1] then return {{'unseated', seat[1] or ''}} end
if seat[2] ~= ARGV[2] then return {{'outdated', seat[2]}} end
local floor, LENGTH = tonumber(seat[3]), 29

local function answered(cells, verb, period, key, ballot, value)
    if tonumber(period) < floor then return {'forgotten', seat[3]} end
    local kept = redis.call('HGET', cells, key)
    local promised = kept and string.sub(kept, 1, LENGTH) or ''
    local accepted = kept and string.sub(kept, LENGTH + 1) or ''
    if verb == 'look' then return {'seen', accepted} end
    if ballot < promised then return {'refused', promised} end
    if not kept then redis.call('SADD', KEYS[2], period) end
    if verb == 'prepare' then
        redis.call('HSET', cells, key, ballot .. accepted)
        return {'promised', accepted}
    end
    redis.call('HSET', cells, key, ballot .. ballot .. value)
    return {'agreed'}
end

local told = {}
for index = 3, #KEYS do
    local at = 3 + (index - 3) * 5
    told[#told + 1] = answered(KEYS[index], unpack(ARGV, at, at + 4))
end
return told
