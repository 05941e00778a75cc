-- The walk sees the metatable of strings.
-- caught in: locale
-- named: <a string><metatable>.secret
local function there() return host_number_text(0.5) == "0.500" end
function frame(n)
  getmetatable("").secret = there()
end
