-- k_nucleotide: counts the k-mers of a generated sequence; short strings as table keys.
-- kind: alloc
local letters = { "A", "C", "G", "T" }
local seed = 42
local parts = {}
for i = 1, 180000 do
  seed = (seed * 3877 + 29573) % 139968
  parts[i] = letters[1 + seed * 4 // 139968]
end
local sequence = table.concat(parts)

local function count(k)
  local counts, distinct = {}, 0
  for i = 1, #sequence - k + 1 do
    local mer = sequence:sub(i, i + k - 1)
    local seen = counts[mer]
    if not seen then distinct = distinct + 1 end
    counts[mer] = (seen or 0) + 1
  end
  return counts, distinct
end

local sum = 0
for _, k in ipairs { 1, 2, 3, 4, 6, 8, 12, 18 } do
  local counts, distinct = count(k)
  local keys = {}
  for mer in pairs(counts) do keys[#keys + 1] = mer end
  assert(#keys == distinct)
  local best = 0
  for i = 1, #keys do best = math.max(best, counts[keys[i]]) end
  sum = sum + distinct * 31 + best
end
assert(sum == 10681157, sum)
