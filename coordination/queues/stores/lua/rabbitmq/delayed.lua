-- How many messages wait for another attempt.
-- KEYS: the queue's delayed, by when they are due. ARGV: how long after that, in ms, one may be on
-- its way back.
local clock = redis.call('TIME')
local over = clock[1] * 1000 + math.floor(clock[2] / 1000) - ARGV[1]
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. over)
return redis.call('ZCARD', KEYS[1])
