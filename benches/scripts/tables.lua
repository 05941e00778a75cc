-- tables: vectors as small tables, created by every operation; growth of hash and array parts.
-- kind: alloc
local Vector = {}
Vector.__index = Vector
local function vector(x, y) return setmetatable({ x = x, y = y }, Vector) end
function Vector.__add(a, b) return vector(a.x + b.x, a.y + b.y) end
function Vector.__mul(a, k) return vector(a.x * k, a.y * k) end

local position, velocity = vector(0, 0), vector(1, 2)
for i = 1, 750000 do
  position = position + velocity * (i % 3)
end
assert(position.x == 750000 and position.y == 1500000)

local sum = 0
for round = 1, 500 do
  local list, map = {}, {}
  for i = 1, 120 do
    list[#list + 1] = i
    map[i * 7919 % 1009 + 0.5] = i
  end
  for i = #list, 1, -1 do sum = sum + table.remove(list) end
  for _, v in pairs(map) do sum = sum + v end
end
assert(sum == 500 * 2 * 7260, sum)
