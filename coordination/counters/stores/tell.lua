-- Record the change as an event of the kind KIND, under the time in microseconds, or under the last
-- stamp plus one: a stream takes no id that is not greater than its last. One field of one string:
-- an entry of many takes the server twice as long. NOTE stands in front of what changed. No function: making one takes a microsecond.
local clock = redis.call('TIME')
local now = clock[1] .. string.sub('000000', #clock[2] + 1) .. clock[2]
local packed = KIND .. '\ncounter\n' .. ARGV[1] .. '\n' .. now .. '\n' .. ARGV[2] .. '\n'
    .. ARGV[3] .. '\n' .. version .. '\n{' .. NOTE .. '"before":' .. before .. ',"after":' .. after .. '}'
local added = redis.pcall('XADD', KEYS[3], now .. '-0', 'e', packed)
if added.err then
    -- Any other error comes again, from the second XADD.
    local told = redis.pcall('XINFO', 'STREAM', KEYS[3])
    for index = 1, #told, 2 do
        if told[index] == 'last-generated-id' then
            now = string.format('%.0f', string.match(told[index + 1], '^%d+') + 1)
        end
    end
    redis.call('XADD', KEYS[3], now .. '-0', 'e', packed)
end
-- To trim with one in a hundred does, and costs less than with each.
if string.sub(now, -2) == '00' then redis.call('XTRIM', KEYS[3], 'MAXLEN', '~', '10000') end
