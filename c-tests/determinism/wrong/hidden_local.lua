-- The walk sees a local variable of a coroutine.
-- caught in: locale
-- named: _G.task<level 1><local 2 secret>
local function there() return host_number_text(0.5) == "0.500" end
task = coroutine.create(function(n)
  local secret = there() and 1 or 2
  coroutine.yield()
  return secret
end)
local started = coroutine.resume(task)
function frame(n) end
