-- The walk sees a user value.
-- caught in: locale
-- named: _G.block<user value 2>
local function there() return host_number_text(0.5) == "0.500" end
block = box(16)
function frame(n)
  block:user(2, there() and 1 or 2)
end
