-- binary_trees: builds and walks many short-lived trees of small tables.
-- kind: alloc
local function bottom_up(depth)
  if depth == 0 then return {} end
  return { bottom_up(depth - 1), bottom_up(depth - 1) }
end

local function count(node)
  local left = node[1]
  if not left then return 1 end
  return 1 + count(left) + count(node[2])
end

local max_depth = 15
local long_lived = bottom_up(max_depth)
local nodes = 0
for depth = 4, max_depth, 3 do
  for _ = 1, 1 << (max_depth - depth + 3) do
    nodes = nodes + count(bottom_up(depth))
  end
end
assert(nodes == 2078432, nodes)
assert(count(long_lived) == (1 << (max_depth + 1)) - 1)
