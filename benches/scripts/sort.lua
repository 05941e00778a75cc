-- sort: quicksort in Lua, table.sort with and without a comparison function.
-- kind: cpu
local function random_array(n, seed)
  local a = {}
  for i = 1, n do
    seed = (seed * 1103515245 + 12345) & 0x7fffffff
    a[i] = seed >> 8
  end
  return a
end

local function quicksort(a, low, high)
  while low < high do
    local pivot = a[(low + high) // 2]
    local i, j = low, high
    while i <= j do
      while a[i] < pivot do i = i + 1 end
      while pivot < a[j] do j = j - 1 end
      if i <= j then
        a[i], a[j] = a[j], a[i]
        i, j = i + 1, j - 1
      end
    end
    if j - low < high - i then
      quicksort(a, low, j)
      low = i
    else
      quicksort(a, i, high)
      high = j
    end
  end
end

local function check(a, before)
  for i = 2, #a do assert(not before(a[i], a[i - 1])) end
end

local n = 160000
local function up(x, y) return x < y end
local function down(x, y) return x > y end
local a, b, c = random_array(n, 1), random_array(n, 1), random_array(n, 1)
quicksort(a, 1, n)
table.sort(b)
table.sort(c, down)
check(a, up)
check(c, down)
for i = 1, n do assert(a[i] == b[i] and a[i] == c[n + 1 - i]) end

local words = {}
for i, x in ipairs(random_array(90000, 7)) do words[i] = "w" .. x end
table.sort(words)
check(words, up)
