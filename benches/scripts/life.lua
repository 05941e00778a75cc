-- life: Conway's game on a torus; a new grid of rows each generation.
-- kind: cpu
local width, height = 96, 96

local function empty()
  local grid = {}
  for y = 1, height do
    local row = {}
    for x = 1, width do row[x] = 0 end
    grid[y] = row
  end
  return grid
end

local function next_generation(grid)
  local new = {}
  for y = 1, height do
    local above, here = grid[(y - 2) % height + 1], grid[y]
    local below, row = grid[y % height + 1], {}
    for x = 1, width do
      local left, right = (x - 2) % width + 1, x % width + 1
      local n = above[left] + above[x] + above[right] + here[left] + here[right]
        + below[left] + below[x] + below[right]
      row[x] = (n == 3 or (n == 2 and here[x] == 1)) and 1 or 0
    end
    new[y] = row
  end
  return new
end

local function alive(grid)
  local n = 0
  for y = 1, height do
    for x = 1, width do n = n + grid[y][x] end
  end
  return n
end

local grid = empty()
local glider = { { 1, 0 }, { 2, 1 }, { 0, 2 }, { 1, 2 }, { 2, 2 } }
for gy = 0, 5 do
  for gx = 0, 5 do
    for _, c in ipairs(glider) do grid[gy * 16 + c[2] + 1][gx * 16 + c[1] + 1] = 1 end
  end
end
for _ = 1, 440 do grid = next_generation(grid) end
assert(alive(grid) == 36 * 5)
