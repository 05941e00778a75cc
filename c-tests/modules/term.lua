-- lua-term: colours and terminal queries; no userdata of its own beyond io's.
local term = require 'term'

function frame(n)
    trace[#trace + 1] = #(term.colors.red .. 'frame ' .. n .. term.colors.reset)
    collect()
    trace[#trace + 1] = tostring(term.isatty(io.tmpfile()))
    state[n] = {term.colors.bright, io.tmpfile()}
    if state[n - 2] then
        trace[#trace + 1] = tostring(term.isatty(state[n - 2][2]))
        if n % 2 == 0 then state[n - 2][2]:close() end
        state[n - 2] = nil
    end
    collect()
end
