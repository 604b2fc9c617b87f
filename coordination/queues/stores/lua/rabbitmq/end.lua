-- Let messages be done: what comes of them again is dropped.
-- KEYS: the record of each. ARGV: op, how long an ended record lives in ms.
for _, key in ipairs(KEYS) do
  redis.call('DEL', key)
  redis.call('HSET', key, 'done', ARGV[1])
  redis.call('PEXPIRE', key, ARGV[2])
end
return 1
