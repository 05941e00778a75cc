-- The walk sees what a script says and does not keep.
-- caught in: locale
-- named: emit 1, value 2
local function there() return host_number_text(0.5) == "0.500" end
function frame(n)
  emit(n, there())
end
