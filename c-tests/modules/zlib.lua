-- lua-zlib: streams that are finished, left, kept over frames. A kept stream does not go back.
local zlib = require 'zlib'

function frame(n)
    local packed = zlib.deflate()(('frame ' .. n):rep(100), 'finish')
    trace[#trace + 1] = #packed
    collect()
    trace[#trace + 1] = #zlib.inflate()(packed)
    zlib.deflate()(('left'):rep(1000))
    zlib.inflate()
    state[n] = zlib.deflate()
    pcall(state[n], 'part ' .. n)
    if state[n - 2] then
        pcall(state[n - 2], 'more')
        if n % 2 == 0 then pcall(state[n - 2], 'end', 'finish') end
        state[n - 2] = nil
    end
    collect()
    trace[#trace + 1] = zlib.crc32()('frame' .. n)
    trace[#trace + 1] = zlib.adler32()('frame' .. n)
    state.kept = state.kept or zlib.inflate()
    pcall(state.kept, packed:sub(n, n))
    if n == 7 then state.kept = nil end
end
