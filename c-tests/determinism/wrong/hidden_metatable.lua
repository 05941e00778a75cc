-- The walk sees a metatable.
-- caught in: locale
-- named: _G.object<metatable>.__index.speed
local function there() return host_number_text(0.5) == "0.500" end
object = setmetatable({}, { __index = {} })
function frame(n)
  getmetatable(object).__index.speed = there() and 1 or 2
end
