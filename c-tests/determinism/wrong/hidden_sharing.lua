-- The walk sees whether two closures share a variable.
-- caught in: locale
-- named: _G.list[2]<upvalue 1 x>
local function there() return host_number_text(0.5) == "0.500" end
local function make(x) return function() return x end end
list = {}
function frame(n)
  list[1], list[2] = make(5), make(5)
  if there() then debug.upvaluejoin(list[2], 1, list[1], 1) end
end
