-- LuaFileSystem: directory iterators that are open across frames, leaked, closed.
local lfs = require 'lfs'

function frame(n)
    local names = 0
    for _ in lfs.dir '/proc/self' do names = names + 1 end
    trace[#trace + 1] = names > 2 and 'listed' or 'empty'
    collect()
    local step, handle = lfs.dir '/usr'
    pcall(step, handle)
    state[n] = {step, handle}
    local old = state[n - 3]
    if old then
        pcall(old[1], old[2])
        if n % 2 == 0 then pcall(old[2].close, old[2]) end
        state[n - 3] = nil
    end
    lfs.dir '/' -- leaked
    for _ in lfs.dir '/' do break end
    collect()
    trace[#trace + 1] = lfs.attributes('/', 'mode')
    state.kept = state.kept or {lfs.dir '/usr/lib'}
    pcall(state.kept[1], state.kept[2])
    if n == 8 then pcall(state.kept[2].close, state.kept[2]) end
    local file = io.tmpfile()
    trace[#trace + 1] = tostring(lfs.lock(file, 'w'))
    if n % 2 == 0 then lfs.unlock(file) file:close() end
end
