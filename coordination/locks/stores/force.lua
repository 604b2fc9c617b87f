-- Take the lock away from whoever holds it, by an operator's word.
--
-- ARGV[4] said   JSON with actor and reason
-- ARGV[5] kept   how long the answer is remembered, milliseconds
--   → tokens of those who lost it; every later token is greater than all of them

--#common

local remembered = redis.call('GET', ANSWER)
if remembered then return cjson.decode(remembered) end
local lost = {}
for id, record in pairs(holders()) do
    redis.call('HDEL', HELD, id)
    emit('lock.forced', id, record.token, ARGV[4])
    table.insert(lost, record.token)
end
-- An empty table would become an object.
redis.call('SET', ANSWER, #lost > 0 and cjson.encode(lost) or '[]', 'PX', ARGV[5])
local found = {}
serve(found, 0)
settle(found)
return lost
