-- Leak: a compiler that fuses multiply and add rounds once where Lua rounds twice.
a, b, c = 1 / 3, 1 / 7, 0
function frame(n, input)
  for i = 1, 100 do
    local x = (input * i % 1000003) / 1000
    a = (a * x + b) % 10
    b = (b * a - x * x) % 3
    c = c * 0.99 + (x * x - a * b) - x * a
    if c ~= c or c > 1e15 or c < -1e15 then c = 0 end
  end
  determinant = a * b - c * a
  small = (1e-310 * n + 1e-311) - 1e-310 * n
  denormal = 2.2250738585072014e-308 / (n + 1)
  emit(a, b, c, determinant, small, denormal, denormal * 3, 1e308 * 10 * n, -1e308 * 1e10)
end
