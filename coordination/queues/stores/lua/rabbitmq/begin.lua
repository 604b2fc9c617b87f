-- Count attempts before anybody begins them.
-- KEYS: the queue's delayed, then the record of each message.
-- ARGV: op, attempts after which one that killed its taker is dead (0: never), how long a record
-- lives in ms, how long a lease lasts at first in ms, then of each message: id, which copy of it.
-- A record: n attempts, op of the last, copy that it began, until when its lease lasts at least,
-- open while nothing was said of it, suspect, error; due when the copy comes that was delayed after
-- it, last when the last of these comes; done is the op that ended it, dead is there once it shall
-- be a dead letter. Times are ms of this server's clock.
local op, most, kept, lease = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local told, begun = {}, false
for number = 2, #KEYS do
  local key, id, copy = KEYS[number], ARGV[2 * number + 1], ARGV[2 * number + 2]
  local was = redis.call('HMGET', key, 'n', 'op', 'open', 'suspect', 'error', 'done', 'dead',
    'copy', 'until', 'due', 'last')
  local attempts, suspect, error = tonumber(was[1] or '0'), was[3] == '1', was[5] or ''
  local due, last = tonumber(was[10] or '0'), tonumber(was[11] or '0')
  local delayed = attempts .. '.' .. (was[2] or '') .. '.'
  local other = was[8] and was[8] ~= copy
  if was[6] then
    told[#told + 1] = {'done', 0, 0, '', 0}
  elseif was[7] then
    told[#told + 1] = {'dead', attempts, 0, error, 0}
  elseif suspect and other and tonumber(was[9]) > now then
    -- Published twice, and the other copy is in hand: should that not be done, it comes again.
    told[#told + 1] = {'twin', 0, 0, '', 0}
  elseif suspect and was[2] == op and not other then
    begun = true
    told[#told + 1] = {'begun', attempts, tonumber(was[4]), error, 0}
    if was[4] == '1' then break end
    redis.call('ZREM', KEYS[1], id)
  elseif due > now and string.sub(copy, 1, #delayed) ~= delayed then
    -- Whoever delayed it may have died before he published the copy that is to come.
    told[#told + 1] = {'early', attempts, 0, was[2], due - now}
  else
    if suspect and begun then break end
    if suspect and most > 0 and attempts >= most then
      told[#told + 1] = {'dead', attempts, 1, error, 0}
    else
      begun, attempts = true, attempts + 1
      redis.call('HSET', key, 'n', attempts, 'op', op, 'open', 1, 'suspect', suspect and 1 or 0,
        'copy', copy, 'until', now + lease)
      redis.call('HDEL', key, 'due')
      redis.call('PEXPIRE', key, kept + math.max(0, last - now))
      told[#told + 1] = {'begun', attempts, suspect and 1 or 0, error, 0}
      if suspect then
        redis.call('ZREM', KEYS[1], id)
        break
      end
    end
    redis.call('ZREM', KEYS[1], id)
  end
end
return told
