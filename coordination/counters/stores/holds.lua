-- Holds of a counter: what transactions that are not decided yet may add to it.
--
-- KEYS[1] value   string  "value version"
-- KEYS[2] ended   string  'applied' or 'cancelled', once this branch's hold has ended
-- KEYS[3] events  stream  as in add.lua
-- KEYS[4] held    string  "less more": the sums of what the holds may take off, and may add; none
--                         while there are none
-- KEYS[5] holds   hash    branch → amount
-- ARGV[1] name   ARGV[2] node   ARGV[3] branch
--
-- Whoever changes the counter leaves room for both sums, so that whichever of the transactions
-- commit, and in whatever order, none of them can cross a bound (the escrow method, O'Neil 1986).
local function sums()
    local _, _, less, more = string.find(redis.call('GET', KEYS[4]) or '0 0', '^(%S+) (%S+)$')
    return tonumber(less), tonumber(more)
end

-- Add `amount` to the sum of its side `times` times: 1 to hold it, -1 to let go of it.
local function hold(amount, times)
    local less, more = sums()
    if amount < 0 then less = less + times * amount else more = more + times * amount end
    if less == 0 and more == 0 then
        redis.call('DEL', KEYS[4])
    else
        redis.call('SET', KEYS[4], string.format('%.0f %.0f', less, more))
    end
end
