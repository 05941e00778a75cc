-- The walk sees whether a number is an integer.
-- caught in: locale
-- named: _G.one
local function there() return host_number_text(0.5) == "0.500" end
function frame(n)
  one = there() and 1 or 1.0
end
