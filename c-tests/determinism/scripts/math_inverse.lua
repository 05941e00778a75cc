-- Leak: asin, acos and atan, with one and two arguments.
sum = 0
function frame(n, input)
  local asin, acos, atan = math.asin, math.acos, math.atan
  for i = 1, 50 do
    local x = (input * i % 2000001 - 1000000) / 1000000
    local y = (input * (i + 7) % 20000001 - 10000000) / 1000
    sum = sum + asin(x) + acos(x) + atan(y) + atan(y, x) + atan(x, -y) * 1e-3
  end
  emit(asin(1), asin(-1), acos(0), asin(2), acos(-1.5), atan(math.huge), atan(-0.0))
  emit(atan(0.0, -0.0), atan(-0.0, 0.0), atan(0.0, -1), atan(-0.0, -1), atan(1, 0), atan(-1, -0.0))
  emit(atan(math.huge, -math.huge), atan(1e-320, 1e300), atan(n, 1 / 0), atan(n / 1000, n * 7))
end
