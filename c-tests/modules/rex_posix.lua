-- rex_posix: compiled patterns, match iterators that are kept.
local rex = require 'rex_posix'

function frame(n)
    local pattern = rex.new('([0-9]+)-' .. n)
    state[n] = pattern
    trace[#trace + 1] = select(3, pattern:match('12-' .. n, 1)) or pattern:match('12-' .. n)
    collect()
    for i = 1, 10 do rex.new('leaked' .. i .. '(a|b)*') end
    local old = state[n - 3]
    if old then
        trace[#trace + 1] = old:match('345-' .. n - 3)
        state[n - 3] = nil
    end
    trace[#trace + 1] = rex.gsub('a b c', '[a-z]', '<%0>', n % 3)
    if not state.iterator then
        state.iterator = rex.gmatch('1 2 3 4 5 6 7 8 9 10 11 12', '[0-9]+')
    end
    trace[#trace + 1] = state.iterator()
    for word in rex.split('x,y,z', ',') do trace[#trace + 1] = word end
    collect()
    assert(not pcall(rex.new, '('))
end
