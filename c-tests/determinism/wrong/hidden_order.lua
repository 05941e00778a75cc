-- The walk sees the order of pairs.
-- caught in: locale
-- named: _G.words["word
local function there() return host_number_text(0.5) == "0.500" end
function frame(n)
  words = {}
  for i = 1, 40 do words["word " .. (there() and i or 41 - i)] = 1 end
end
