-- floor, ceil, fmod, modf, //, % and conversions, at the edges of floats and integers.
local edges = { 0.0, -0.0, 0.5, -0.5, 1.5, 2.5, 1e15 + 0.5, 2^52 + 0.5, 2^53, -2^53, 2^62, 2^63,
  -2^63,
  2^63 - 1024, 1e300, -1e300, 5e-324, math.huge, -math.huge, 0 / 0, 1, -1, 7, -7,
  math.maxinteger, math.mininteger, 0.1, 1 / 3, 123456789.987654321 }
sum = 0
function frame(n, input)
  local a = edges[input % #edges + 1]
  local b = edges[n % #edges + 1]
  emit(a, b, math.floor(a), math.ceil(a), math.modf(a))
  emit(math.fmod(a, b ~= 0 and b or 1.25), pcall(math.fmod, a, b), math.abs(a), math.tointeger(a))
  emit(pcall(function() return a // b, a % b end))
  emit(a * 1.0 // b, a * 1.0 % b, a / b, math.max(a, b), math.min(a, b), math.ult(n, input))
  emit(math.sqrt(math.abs(input) / 7), math.fmod(input / 3, n / 7), math.fmod(-n, 7), -n % 7,
    n % -7)
  emit(math.fmod(1e300, 3e-5), 1e300 % 3e-5, 5.3 % math.huge, -5.3 % math.huge, math.type(a),
    a == b)
  for i = 1, 20 do sum = sum + (input * i / 9) % 1.7 + math.fmod(input * i / 9, 0.3) end
end
