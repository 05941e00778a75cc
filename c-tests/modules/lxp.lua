-- LuaExpat: parsers whose callbacks are Lua's, kept in the middle of a document, leaked, closed.
local lxp = require 'lxp'

local function parser(log)
    return lxp.new {StartElement = function(_, name) log[#log + 1] = name collect() end,
        CharacterData = function(_, text) log[#log + 1] = text end}
end

function frame(n)
    local log = {}
    local p = parser(log)
    assert(p:parse('<a><b>text ' .. n .. '</b></a>'))
    assert(p:parse())
    p:close()
    trace[#trace + 1] = table.concat(log, ',')
    collect()
    parser {}:parse '<left><open>'
    parser {}
    local kept = parser(log)
    kept:parse('<kept' .. n .. '>')
    state[n] = kept
    local old = state[n - 2]
    if old then
        pcall(old.parse, old, '<more/>')
        if n % 3 == 0 then pcall(old.close, old) end
        state[n - 2] = nil
    end
    local broken = parser {}
    trace[#trace + 1] = tostring(broken:parse '<a></b>')
    collect()
    state.kept = state.kept or parser {}
    pcall(state.kept.parse, state.kept, '<x>')
    if n == 8 then state.kept = nil end
end
