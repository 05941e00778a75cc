-- string_build: short strings from string.format, rep, sub and upper, joined by table.concat.
-- kind: alloc
local format, concat = string.format, table.concat
local total = 0
for round = 1, 22 do
  local parts = {}
  for i = 1, 9000 do
    local name = "unit" .. i
    parts[i] = format("%s:%d:%05.1f", name:upper(), i * round, i / 4) .. name:sub(2, 5)
  end
  local text = concat(parts, ",")
  total = total + #text + select(2, text:gsub(":1", ":one"))
end
for i = 1, 30000 do
  total = total + #(("ab"):rep(i % 40)) + #tostring(i) + #("k" .. i .. "=" .. i * 0.5)
end
assert(total == 6881901, total)
