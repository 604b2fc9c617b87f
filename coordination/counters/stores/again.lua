-- A call without an op id is remembered by its event alone, until it is repeated: then what became
-- of it is looked up there, and kept, since the first copy of it may be late.
--
-- It looks back 20 s, by the stamps. The clock may have been set forward between the two copies, so
-- the longest pause between two changes counts as none; a second step is outside of the promise.
--
-- Raises 'unknown' when events that would tell are gone: the stream was trimmed within the time in
-- which a call may be repeated.
local function applied(said)
    local clock = redis.call('TIME')
    local now, before, later, longest = clock[1] * 1000000 + clock[2], '+', nil, 0
    while true do
        local entries = redis.call('XREVRANGE', KEYS[3], before, '-', 'COUNT', '500')
        for _, entry in ipairs(entries) do
            local packed = entry[2][2]
            if string.find(packed, '\n' .. ARGV[3] .. '\n', 1, true) then
                local version, after =
                    string.match(packed, '\n(%d+)\n{[^\n]*"before":%-?%d+,"after":(%-?%d+)}$')
                return 'done ' .. after .. ' ' .. version .. ' ' .. said
            end
            local at = tonumber(string.match(entry[1], '^%d+'))
            longest = math.max(longest, (later or now) - at)
            if now - at - longest > 20000000 then return nil end
            later = at
        end
        if #entries < 500 then
            -- It is trimmed to no fewer than these.
            return redis.call('XLEN', KEYS[3]) >= 10000 and 'unknown 0 0 ' .. said or nil
        end
        before = '(' .. entries[#entries][1]
    end
end
