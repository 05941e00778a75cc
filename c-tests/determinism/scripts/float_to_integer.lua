-- Comparisons and conversions between floats and integers at the edges.
local floats = { 2^53, 2^53 + 2, 2^63, -2^63, 2^63 - 1024, -2^63 - 2048, 0.5, -0.5, 1e308, -1e308,
  1 / 0,
  -1 / 0, 0 / 0, -0.0, 3.0, 9.007199254740993e15 }
local integers = { 2^53 | 0, (2^53 | 0) + 1, math.maxinteger, math.mininteger, 0, 1, -1, 3 }
function frame(n, input)
  local f, i = floats[n % #floats + 1], integers[input % #integers + 1]
  emit(f < i, f <= i, f == i, i < f, i <= f, f > i, f >= i, math.tointeger(f), f // 1)
  emit(pcall(function() return f | 0 end), pcall(string.char, f), pcall(math.random, f))
  emit(i + f, i * f, i - f, i / f, i + 0.0, (i + 0.0) == i, math.max(i, f), math.min(i, f))
  local t = {}
  t[3.0], t[2^53] = "three", "big"
  if f == f then t[f] = "f" end
  emit(t[3], t[2^53 | 0], t[f], next(t))
  sum = 0
  for x = f == f and math.max(-3, math.min(3, f)) or 0, 5, 0.3 do sum = sum + x end
  steps = 0
  for x = 1, 2, 0.1 do steps = steps + x end
  emit(sum, steps, input + 0.0, (input + 0.0) | 0 == input)
end
