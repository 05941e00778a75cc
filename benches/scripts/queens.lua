-- queens: all placements of n queens by backtracking; boolean arrays and recursion.
-- kind: cpu
local n = 10
local columns, rising, falling = {}, {}, {}
for i = 1, 2 * n do columns[i], rising[i], falling[i] = false, false, false end

local function place(row)
  if row > n then return 1 end
  local solutions = 0
  for c = 1, n do
    local r, f = row + c - 1, row - c + n
    if not (columns[c] or rising[r] or falling[f]) then
      columns[c], rising[r], falling[f] = true, true, true
      solutions = solutions + place(row + 1)
      columns[c], rising[r], falling[f] = false, false, false
    end
  end
  return solutions
end

local total = 0
for _ = 1, 24 do total = total + place(1) end
assert(total == 24 * 724)
