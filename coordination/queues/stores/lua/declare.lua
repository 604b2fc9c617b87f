-- Say what the queue is, unless somebody has said it.
--
-- ARGV[4] declaration: JSON   ARGV[5] '1' to replace another's   → the declaration that stands
local stands = redis.call('HGET', KEYS[1], 'd')
if stands and ARGV[5] ~= '1' then return stands end
if stands ~= ARGV[4] then
    redis.call('HSET', KEYS[1], 'd', ARGV[4])
    redis.call('SADD', KEYS[13], NAME)
    emit(KEYS[1], KEYS[12], 'queue.declared', NAME, ARGV[4])
end
return ARGV[4]
