-- The walk sees an upvalue of a function.
-- caught in: locale
-- named: _G.get<upvalue 1 secret>
local function there() return host_number_text(0.5) == "0.500" end
local secret
function get() return secret end
function frame(n)
  secret = there() and n or n + 1
end
