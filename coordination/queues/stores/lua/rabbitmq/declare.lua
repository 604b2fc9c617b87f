-- What a queue is. KEYS: its declaration. ARGV: what it is if nobody said so yet; 1 to replace.
if ARGV[2] == '1' then redis.call('SET', KEYS[1], ARGV[1]) end
redis.call('SET', KEYS[1], ARGV[1], 'NX')
return redis.call('GET', KEYS[1])
