-- Wait no longer. Who was woken already wakes another in his place.
--
-- ARGV[4] waiter   'channel op'
if redis.call('ZREM', KEYS[10], ARGV[4]) == 0 then wake(KEYS[10], 1) end
return 1
