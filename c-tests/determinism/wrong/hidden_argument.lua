-- The walk sees an argument that a coroutine has not seen yet.
-- caught in: locale
-- named: _G.task<value 1><upvalue 1 secret>
local function there() return host_number_text(0.5) == "0.500" end
local secret = there() and 1 or 2
task = coroutine.create(function() return secret end)
function frame(n) end
