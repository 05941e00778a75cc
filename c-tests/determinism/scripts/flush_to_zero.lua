-- Denormals, and rounding to nearest: what a host's floating-point environment would change.
tiny = 1.0
function frame(n, input)
  tiny = tiny / 1.1
  if tiny == 0 then tiny = 1.0 end
  local d = 5e-324 * (n % 100)
  emit(tiny, d, d / 2, d * 0.5, d + d, d == 0, 1e-308 / 3, 1e-200 * 1e-120, -d, tostring(d),
    ("%a"):format(d))
  emit(1 + 2.0 ^ -53, 1 + 2.0 ^ -52 + 2.0 ^ -53, 0.1 + 0.2, 1 / 3 * 3, 2 ^ 53 + 1.0,
    (input | 1) + 0.0)
  emit(math.sin(d), math.atan(d, n), math.exp(-740 - n / 10), math.floor(-d), math.ceil(d), d % 1,
    -d % 1)
  emit(math.sqrt(d), tonumber "1e-320", string.unpack("<f", string.pack("<f", 1e-40 * n)))
end
