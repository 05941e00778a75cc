-- A*: a heap, a grid that changes, ties that are broken by the order in which nodes came.
local W, H = 24, 24
walls, paths = {}, {}
for y = 1, H do
  walls[y] = {}
  for x = 1, W do walls[y][x] = (x * 7 + y * 13) % 5 == 0 end
end
local function push(heap, node)
  heap[#heap + 1] = node
  local i = #heap
  while i > 1 and heap[i // 2].f > node.f do heap[i], i = heap[i // 2], i // 2 end
  heap[i] = node
end
local function pop(heap)
  local top, last = heap[1], table.remove(heap)
  if #heap == 0 then return top end
  local i = 1
  while true do
    local c = i * 2
    if c > #heap then break end
    if c < #heap and heap[c + 1].f < heap[c].f then c = c + 1 end
    if heap[c].f >= last.f then break end
    heap[i], i = heap[c], c
  end
  heap[i] = last
  return top
end
local function search(sx, sy, gx, gy)
  local heap, best, expanded = {}, {}, 0
  push(heap, { x = sx, y = sy, g = 0, f = 0 })
  while #heap > 0 do
    local node = pop(heap)
    local key = node.y * 1000 + node.x
    if node.x == gx and node.y == gy then return node, expanded end
    if not best[key] then
      best[key] = node
      expanded = expanded + 1
      for dy = -1, 1 do
        for dx = -1, 1 do
          local x, y = node.x + dx, node.y + dy
          if walls[y] and walls[y][x] == false then
            local g = node.g + (dx * dx + dy * dy) ^ 0.5
            push(heap, { x = x, y = y, g = g, f = g + ((x - gx) ^ 2 + (y - gy) ^ 2) ^ 0.5,
              from = node })
          end
        end
      end
    end
  end
  return nil, expanded
end
function frame(n, input)
  local x, y = input % W + 1, (input >> 8) % H + 1
  walls[y][x] = not walls[y][x]
  local node, expanded = search((input >> 16) % W + 1, (input >> 24) % H + 1, n % W + 1,
    n * 3 % H + 1)
  local steps, length = {}, node and node.g
  while node do
    steps[#steps + 1] = node.x .. "," .. node.y
    node = node.from
  end
  paths[n % 8 + 1] = { length = length, steps = table.concat(steps, " "), expanded = expanded }
end
