-- The walk sees what was allocated, and is garbage.
-- caught in: locale
-- named: collectgarbage("count")
local function there() return host_number_text(0.5) == "0.500" end
function frame(n)
  local garbage = there() and { 1, 2, 3 }
end
