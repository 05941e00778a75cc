-- The walk sees the sign of a zero.
-- caught in: locale
-- named: _G.zero
local function there() return host_number_text(0.5) == "0.500" end
function frame(n)
  zero = there() and 0.0 or -0.0
end
