-- lua-cjson with its default kept buffer: malloc'ed text behind a userdata of the VM.
local cjson = require 'cjson'

function frame(n)
    local text = cjson.encode {frame = n, list = {1, 2, 3, {deep = ('x'):rep(n * 500)}}}
    trace[#trace + 1] = #text
    collect()
    state.doc = cjson.decode(text)
    trace[#trace + 1] = state.doc.frame | 0
    assert(not pcall(cjson.decode, '{"broken": ['))
    assert(not pcall(cjson.encode, {print}))
    state.other = state.other or cjson.new()
    trace[#trace + 1] = #state.other.encode {n, ('y'):rep(n * 3000)}
    if n % 3 == 0 then state.other.encode_keep_buffer(n % 2 == 0) end
    if n % 4 == 0 then state.other = nil end
    local leaked = cjson.new()
    leaked.encode {('z'):rep(4000)}
    collect()
end
