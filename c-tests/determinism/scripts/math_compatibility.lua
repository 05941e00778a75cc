-- Leak: the functions that LUA_COMPAT_MATHLIB keeps; nil where the build lacks them.
sum = 0
function frame(n, input)
  local x = (input % 2000001 - 1000000) / 100000
  for _, name in ipairs { "cosh", "sinh", "tanh", "log10", "sqrt", "exp" } do
    local f = math[name]
    if f then
      local y = f(x)
      sum = sum + (y == y and y or 0) * 1e-5
      emit(name, y, f(n / 10), f(-n / 10), f(0.0), f(-0.0), f(1e-9 * n))
    else
      emit(name, "is not there")
    end
  end
  if math.frexp then emit(math.frexp(x), math.ldexp(x, n % 2100 - 1050), math.pow(n, x / 5)) end
end
