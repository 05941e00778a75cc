-- A procedural map: noise with trigonometry and powers, rivers, towns with names, a text of it.
local W, H = 20, 12
height, towns, rows = {}, {}, {}
local function hash(x, y) return (math.sin(x * 12.9898 + y * 78.233) * 43758.5453) % 1 end
local function smooth(x, y)
  local x0, y0 = math.floor(x), math.floor(y)
  local fx, fy = x - x0, y - y0
  fx, fy = (1 - math.cos(fx * math.pi)) / 2, (1 - math.cos(fy * math.pi)) / 2
  local top = hash(x0, y0) * (1 - fx) + hash(x0 + 1, y0) * fx
  local bottom = hash(x0, y0 + 1) * (1 - fx) + hash(x0 + 1, y0 + 1) * fx
  return top * (1 - fy) + bottom * fy
end
function frame(n, input)
  local drift = (input % 1000) / 1000
  for y = 1, H do
    local row, signs = height[y] or {}, {}
    for x = 1, W do
      local h = 0
      for octave = 0, 2 do h = h + smooth((x + n * 0.1) * 2 ^ octave / 5,
        (y + drift) * 2 ^ octave / 5) / 2 ^ octave end
      row[x] = ((row[x] or h) + h) / 2
      signs[x] = row[x] < 0.7 and "~" or row[x] < 1 and "." or row[x] < 1.3 and "n" or "^"
    end
    height[y], rows[y] = row, table.concat(signs)
  end
  local x, y = input % W + 1, n % H + 1
  local name = ("%s%s"):format(("Ber Lon Par Mos"):match("%a+", input % 12 + 1), ({ "lin", "don",
    "is", "kau" })[n % 4 + 1])
  towns[name] = { x = x, y = y, height = height[y][x],
    people = math.floor(height[y][x] ^ 3.3 * 1000) }
  if n % 100 == 0 then towns = {} end
  local list = {}
  for town, t in pairs(towns) do list[#list + 1] = town .. t.people end
  census = table.concat(list, " ")
  emit(table.concat(rows, "\n"), census)
end
