-- Refuse publications, give out no messages, or go on.
--
-- ARGV[4] publishing paused: '1' or '0'   ARGV[5] consuming paused   ARGV[6] said: JSON
--   → 'undeclared' | 'ok'
if redis.call('HEXISTS', KEYS[1], 'd') == 0 then return 'undeclared' end
redis.call('ZREM', KEYS[10], '')   -- so that it works while memory is full: see head.lua
redis.call('HSET', KEYS[1], 'pp', ARGV[4], 'pc', ARGV[5])
emit(KEYS[1], KEYS[12], 'queue.paused', NAME, '{"publishing":' .. ARGV[4] .. ',"consuming":'
    .. ARGV[5] .. ',"said":' .. ARGV[6] .. '}')
if ARGV[5] == '0' then wake(KEYS[10], redis.call('ZCARD', KEYS[10])) end
return 'ok'
