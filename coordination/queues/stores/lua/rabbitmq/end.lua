-- Let messages be done: what comes of them again is dropped.
-- KEYS: the record of each. ARGV: op, how long an ended record lives in ms.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
for _, key in ipairs(KEYS) do
  local last = tonumber(redis.call('HGET', key, 'last') or '0')
  redis.call('DEL', key)
  redis.call('HSET', key, 'done', ARGV[1])
  -- At least until the last of its copies has come.
  if redis.call('EXISTS', key .. ':held') == 0 then
    redis.call('PEXPIRE', key, ARGV[2] + math.max(0, last - now))
  end
end
return 1
