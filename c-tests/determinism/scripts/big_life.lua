-- Cells on a torus as strings and as sparse tables; both must agree, and do so everywhere.
local W, H = 32, 20
cells = {}
for i = 0, W * H - 1 do if (i * i * 7 + i) % 11 < 4 then cells[i] = true end end
function frame(n, input)
  local counts = {}
  for i in pairs(cells) do
    local x, y = i % W, i // W
    for dy = -1, 1 do
      for dx = -1, 1 do
        if dx ~= 0 or dy ~= 0 then
          local j = (y + dy) % H * W + (x + dx) % W
          counts[j] = (counts[j] or 0) + 1
        end
      end
    end
  end
  local new, alive = {}, 0
  for i, count in pairs(counts) do
    if count == 3 or count == 2 and cells[i] then
      new[i] = true
      alive = alive + 1
    end
  end
  for k = 1, 12 do new[(input >> k * 3) % (W * H)] = true end
  cells, population = new, alive
  local row = {}
  for i = 0, W - 1 do row[i + 1] = cells[i] and "#" or " " end
  first_row = table.concat(row)
end
