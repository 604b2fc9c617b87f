-- Who this acceptor is. Registers of a seat that is buried or raised are removed with it.
--
-- KEYS[1] seat   KEYS[2] what the names of the hashes of periods begin with   KEYS[3] periods
-- ARGV[1] verb   birth, install, floor, bury   ARGV[2] incarnation
-- ARGV[3] version, or floor   ARGV[4] view
--   → 1, or 0 when nothing was done
local verb, number = ARGV[1], tonumber(ARGV[3])
local seat = redis.call('HMGET', KEYS[1], 'incarnation', 'version', 'floor')

local function forget(below)
    for _, period in ipairs(redis.call('SMEMBERS', KEYS[3])) do
        if tonumber(period) < below then
            redis.call('UNLINK', KEYS[2] .. period)
            redis.call('SREM', KEYS[3], period)
        end
    end
end

if verb == 'bury' then
    forget(math.huge)
    redis.call('DEL', KEYS[1])
    return 1
end
if verb == 'birth' then
    if seat[1] then return 0 end
    -- What stands here without a seat is of a former incarnation.
    forget(math.huge)
    redis.call('HSET', KEYS[1], 'incarnation', ARGV[2], 'version', ARGV[3], 'view', ARGV[4],
        'floor', '0')
    return 1
end
if seat[1] ~= ARGV[2] then return 0 end
if verb == 'install' then
    if number <= tonumber(seat[2]) then return 0 end
    redis.call('HSET', KEYS[1], 'version', ARGV[3], 'view', ARGV[4])
    return 1
end
if number > tonumber(seat[3]) then redis.call('HSET', KEYS[1], 'floor', ARGV[3]) end
forget(number)
return 1
