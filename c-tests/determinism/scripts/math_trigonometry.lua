-- Leak: sin, cos and tan are the C library's; also between CPUs with and without FMA.
sums = { sin = 0, cos = 0, tan = 0 }
angle = 0
function frame(n, input)
  local sin, cos, tan = math.sin, math.cos, math.tan
  for i = 1, 60 do
    local x = input * 2.0 ^ -(i + 4) + i * n
    angle = angle + 0.1
    sums.sin = sums.sin + sin(x) * 0.5 + sin(angle)
    sums.cos = sums.cos + cos(x) * 0.5 + cos(angle)
    sums.tan = sums.tan * 0.5 + tan(x)
  end
  emit(sin(n), cos(n), tan(n), sin(n * 1e10), cos(n * 1e100), tan(n * 1e300), sin(-0.0),
    tan(1e-310))
  emit(sin(math.pi * n), cos(math.pi / 2 * n), sin(math.huge), cos(-math.huge), tan(0 / 0))
end
