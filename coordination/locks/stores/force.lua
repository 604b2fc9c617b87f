-- Take the lock away from whoever holds it, by an operator's word.
--
-- ARGV[3] actor
-- ARGV[4] reason
-- ARGV[5] kept   how long the answer is remembered, milliseconds
--   → tokens of those who lost it; every later token is greater than all of them
local remembered = redis.call('GET', ANSWER)
if remembered then return cjson.decode(remembered) end
local lost, found = {}, {}
for id, record in pairs(holders()) do
    redis.call('HDEL', HELD, id)
    emit('lock.forced', id, record.token, 'owner', record.owner, 'actor', ARGV[3], 'reason', ARGV[4])
    table.insert(lost, record.token)
end
-- An empty table would become an object.
redis.call('SET', ANSWER, #lost > 0 and cjson.encode(lost) or '[]', 'PX', ARGV[5])
-- The floor rises although nobody may be waiting: whoever comes next has a greater token.
next_token()
serve(found, 0)
settle(found)
return lost
