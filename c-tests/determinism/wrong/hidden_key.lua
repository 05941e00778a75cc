-- The walk sees a key.
-- caught in: locale
-- named: _G.set[table]<key>.name
local function there() return host_number_text(0.5) == "0.500" end
set = {}
local key = {}
set[key] = true
function frame(n)
  key.name = there() and "a" or "b"
end
