-- LPeg keeps everything in the VM: patterns, compiled when they are first matched.
local lpeg = require 'lpeg'
local P, R, S, V, C, Ct = lpeg.P, lpeg.R, lpeg.S, lpeg.V, lpeg.C, lpeg.Ct

local number = R '09' ^ 1 / tonumber
state.sum = P {'sum', sum = lpeg.Cf(V 'item' * lpeg.Cg(C '+' * V 'item') ^ 0,
    function(a, _, b) return a + b end), item = number} * -1
state.words = Ct((C(R 'az' ^ 1) + 1) ^ 0)

function frame(n)
    -- Compiled in the first frame that matches it, which a rollback takes back.
    if n >= 4 then trace[#trace + 1] = state.sum:match('1+2+' .. n) end
    collect()
    local p = P(tostring(n)) ^ 1 * state.words
    state['p' .. n] = p
    trace[#trace + 1] = #p:match(n .. ' some words')
    for i = 1, 30 do local q = P('x' .. i) * (state.last or 1) state.last = i < 30 and q or nil end
    if n >= 3 then
        local old = state['p' .. n - 2]
        trace[#trace + 1] = old and #old:match(n - 2 .. ' a b c d') or 'none'
        if n % 2 == 0 then state['p' .. n - 2] = nil end
    end
    trace[#trace + 1] = lpeg.type(state.words)
    if n == 6 then state.words = Ct(C(1) ^ 0) end
    collect()
end
