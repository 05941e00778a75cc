-- The io library: files that are closed, leaked, kept over frames, read by lines.
local function scratch()
    local f = io.tmpfile()
    f:write 'one\ntwo\nthree\n'
    f:seek 'set'
    return f
end

function frame(n)
    state[n] = scratch()
    collect()
    if state[n - 2] then
        trace[#trace + 1] = io.type(state[n - 2])
        state[n - 2]:write 'x'
        if n % 3 == 0 then assert(state[n - 2]:close()) else state[n - 2] = nil end
    end
    for line in scratch():lines() do
        trace[#trace + 1] = line
        if n % 2 == 0 and line == 'two' then break end
    end
    local leaked = scratch()
    leaked:setvbuf 'full'
    leaked:write(n)
    do local closed <close> = scratch() end
    collect()
    if n % 5 == 0 then
        local p = io.popen 'exit 3'
        trace[#trace + 1] = select(3, p:close())
    end
    state.iterator = state.iterator or scratch():lines()
    pcall(state.iterator)
    if n == 7 then state.iterator = nil end
    io.output(io.tmpfile())
    io.write 'text'
    if n % 2 == 0 then io.close() end
    io.output(io.stdout)
    if n == 4 then for i = 1, 9 do state[i] = nil end collectgarbage() end
end
