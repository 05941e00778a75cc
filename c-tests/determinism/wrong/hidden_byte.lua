-- The walk sees a byte of a userdata.
-- caught in: locale
-- named: _G.block<byte 7>
local function there() return host_number_text(0.5) == "0.500" end
block = box(16)
function frame(n)
  block:set(7, there() and 1 or 2)
end
