-- The walk sees a value of `...` of a coroutine.
-- caught in: locale
-- named: _G.task<level 1><local -2 (vararg)>
local function there() return host_number_text(0.5) == "0.500" end
task = coroutine.create(function(...) coroutine.yield() end)
coroutine.resume(task, 1, there() and 1 or 2)
function frame(n) end
