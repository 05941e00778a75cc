-- mandelbrot: float arithmetic in registers, no tables.
-- kind: cpu
local size, limit = 560, 60
local inside, steps = 0, 0
for row = 0, size - 1 do
  local ci = 2.0 * row / size - 1.0
  for column = 0, size - 1 do
    local cr = 2.0 * column / size - 1.5
    local zr, zi, zr2, zi2, i = 0.0, 0.0, 0.0, 0.0, 0
    while i < limit and zr2 + zi2 <= 4.0 do
      zi = 2.0 * zr * zi + ci
      zr = zr2 - zi2 + cr
      zr2, zi2 = zr * zr, zi * zi
      i = i + 1
    end
    steps = steps + i
    if i == limit then inside = inside + 1 end
  end
end
assert(inside == 123504 and steps == 8892388, inside .. " " .. steps)
