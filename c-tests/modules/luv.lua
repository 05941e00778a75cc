-- luv: timers, idle handles, async, fs requests, processes' pipes on the default loop.
local uv = require 'luv'

function frame(n)
    local timer = uv.new_timer()
    local fired = 0
    timer:start(0, 0, function()
        fired = fired + 1
        timer:stop()
        if n % 2 == 0 then timer:close() end
    end)
    uv.run 'nowait'
    uv.run 'nowait'
    collect()
    trace[#trace + 1] = fired
    -- Left without a stop, a close, or a user.
    uv.new_timer()
    uv.new_idle()
    local leaked = uv.new_timer()
    leaked:start(100000, 0, function() end)
    state[n] = uv.new_timer()
    local old = state[n - 2]
    if old then
        pcall(old.start, old, 100000, 0, function() end)
        if n % 3 == 0 and not old:is_closing() then old:close() end
        state[n - 2] = nil
    end
    collect()
    local stat = uv.fs_stat '/'
    trace[#trace + 1] = stat.type
    local async = uv.new_async(function() end)
    async:send()
    if n % 2 == 1 then async:close() end
    local a = uv.new_pipe(false)
    if n % 4 == 0 then a:close() end
    uv.run 'nowait'
    uv.fs_opendir '/'
    local fd = uv.fs_open('/dev/null', 'r', 0)
    uv.fs_close(fd)
    if n % 5 == 0 then uv.walk(function(h) pcall(function() return h:is_active() end) end) end
    collect()
end
