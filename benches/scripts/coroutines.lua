-- coroutines: ping-pong, generators through coroutine.wrap, and many short-lived coroutines.
-- kind: alloc
local yield, wrap, resume = coroutine.yield, coroutine.wrap, coroutine.resume

local echo = coroutine.create(function(x)
  while true do x = yield(x + 1) end
end)
local total = 0
for i = 1, 1500000 do
  local _, x = resume(echo, i)
  total = total + x
end

local function range(n)
  return wrap(function() for i = 1, n do yield(i) end end)
end
for _ = 1, 220000 do
  for x in range(5) do total = total + x end
end
assert(total == 1125005550000, total)
