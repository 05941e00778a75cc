-- cqueues: controllers with their coroutines, conditions, sockets, signals.
local cqueues = require 'cqueues'
local condition = require 'cqueues.condition'
local socket = require 'cqueues.socket'
local notify_ok, notify = pcall(require, 'cqueues.notify')

function frame(n)
    local queue = cqueues.new()
    local done = {}
    queue:wrap(function() cqueues.sleep(0) done[#done + 1] = 'slept' end)
    queue:wrap(function() done[#done + 1] = 'ran' collect() end)
    assert(queue:loop())
    table.sort(done)
    trace[#trace + 1] = table.concat(done, ',')
    collect()
    -- Never run, never emptied.
    local leaked = cqueues.new()
    leaked:wrap(function() cqueues.sleep(1000) end)
    if n % 2 == 0 then leaked:step(0) end
    local c = condition.new()
    local q = cqueues.new()
    local woken
    q:wrap(function() woken = c:wait(0.01) end)
    q:wrap(function() c:signal() end)
    q:loop()
    trace[#trace + 1] = tostring(woken)
    local a, b = socket.pair()
    a:setmode('b', 'bn')
    b:setmode('b', 'bn')
    a:write('frame ' .. n .. '\n')
    a:flush()
    trace[#trace + 1] = b:read '*l'
    state[n] = a
    collect()
    if state[n - 2] then
        pcall(state[n - 2].write, state[n - 2], 'late')
        if n % 3 == 0 then state[n - 2]:close() end
        state[n - 2] = nil
    end
    if n % 2 == 0 then b:close() end
    state.queue = state.queue or cqueues.new()
    pcall(state.queue.step, state.queue, 0)
    if n == 7 then pcall(state.queue.close, state.queue) state.queue = nil end
    if notify_ok and n % 4 == 0 then notify.opendir '/tmp' end
end
