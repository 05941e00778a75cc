-- rex_pcre2: compiled patterns, match iterators that are kept, character tables.
local rex = require 'rex_pcre2'

function frame(n)
    local pattern = rex.new('(\\d+)-' .. n)
    state[n] = pattern
    trace[#trace + 1] = select(3, pattern:match('12-' .. n, 1)) or pattern:match('12-' .. n)
    collect()
    for i = 1, 10 do rex.new('leaked' .. i .. '(a|b)*') end
    local old = state[n - 3]
    if old then
        trace[#trace + 1] = old:match('345-' .. n - 3)
        state[n - 3] = nil
    end
    trace[#trace + 1] = rex.gsub('a b c', '\\w', '<%0>', n % 3)
    if not state.iterator then
        state.iterator = rex.gmatch('1 2 3 4 5 6 7 8 9 10 11 12', '\\d+')
    end
    trace[#trace + 1] = state.iterator()
    for word in rex.split('x,y,z', ',') do trace[#trace + 1] = word end
    collect()
    if n % 4 == 0 then state.tables = rex.maketables() rex.new('x', nil, nil, state.tables) end
    if n == 5 then state.tables = nil end
    assert(not pcall(rex.new, '('))
end
