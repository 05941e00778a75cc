-- string_append: `s = s .. x` in a loop; every step makes one longer string.
-- kind: alloc
local total = 0
for round = 1, 2400 do
  local line = ""
  for i = 1, 450 do
    line = line .. "item " .. i .. ";"
  end
  total = total + #line
end
local text = ""
for i = 1, 16000 do text = text .. "x" .. (i % 10) end
total = total + #text
assert(total == 9492800, total)
