-- Let every later token of a shard be greater than a given one.
--
-- KEYS[1] events   as in head.lua
-- ARGV[1] above    a token
--
-- The stream takes no id that is not greater than its last; an entry there already is no error.
local packed = table.concat({'lock.tokens_raised', 'lock', '*', ARGV[1], '', '', ARGV[1], '{}'}, '\n')
local added = redis.pcall('XADD', KEYS[1], ARGV[1] .. '-0', 'e', packed)
if added.err and not string.find(added.err, 'equal or smaller', 1, true) then return added end
