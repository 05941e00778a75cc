-- Closures that share variables: whether they still share them is part of the state.
pairs_of = {}
local function make(start)
  local shared = start
  local function get() return shared end
  local function add(x) shared = shared + x return shared end
  return get, add
end
function frame(n, input)
  local get, add = make(n)
  pairs_of[n % 40 + 1] = { get = get, add = add }
  for _, pair in pairs(pairs_of) do pair.add(input % 10) end
  local sum = 0
  for _, pair in pairs(pairs_of) do sum = sum + pair.get() end
  total = sum
  local list = {}
  for i = 1, 5 do
    local j = i
    list[i] = function() j = j + i return j end
  end
  debug.upvaluejoin(list[1], 1, list[2], 1)
  emit(list[1](), list[2](), list[1](), total)
  closures = list
end
