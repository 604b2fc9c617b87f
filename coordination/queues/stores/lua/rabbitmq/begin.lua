-- Count attempts before anybody begins them.
-- KEYS: the queue's delayed, then the record of each message.
-- ARGV: op, attempts after which one that killed its taker is dead (0: never), how long a record
-- lives in ms, then the id of each message.
-- A record: n attempts, op of the last, open while nothing was said of it, suspect, error; done is
-- the op that ended it, dead is there once it shall be a dead letter.
local op, most, kept = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local told, begun = {}, false
for number = 2, #KEYS do
  local key, id = KEYS[number], ARGV[number + 2]
  local was = redis.call('HMGET', key, 'n', 'op', 'open', 'suspect', 'error', 'done', 'dead')
  local attempts, suspect, error = tonumber(was[1] or '0'), was[3] == '1', was[5] or ''
  if was[6] then
    told[#told + 1] = {'done', 0, 0, ''}
  elseif was[7] then
    told[#told + 1] = {'dead', attempts, 0, error}
  elseif was[2] == op then
    begun = true
    told[#told + 1] = {'begun', attempts, tonumber(was[4]), error}
    if was[4] == '1' then break end
  else
    if suspect and begun then break end
    if suspect and most > 0 and attempts >= most then
      told[#told + 1] = {'dead', attempts, 1, error}
    else
      begun, attempts = true, attempts + 1
      redis.call('HSET', key, 'n', attempts, 'op', op, 'open', 1, 'suspect', suspect and 1 or 0)
      redis.call('PEXPIRE', key, kept)
      told[#told + 1] = {'begun', attempts, suspect and 1 or 0, error}
      if suspect then
        redis.call('ZREM', KEYS[1], id)
        break
      end
    end
  end
  redis.call('ZREM', KEYS[1], id)
end
return told
