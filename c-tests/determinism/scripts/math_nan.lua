-- Leak: the sign and the payload of NaN differ between platforms; neither may be seen.
function frame(n, input)
  local zero = n - n
  local inf = math.huge
  local nans = { zero / zero, -(zero / zero), inf - inf, inf * zero, math.sqrt(-1), math.log(-1),
    math.fmod(inf, 1), tonumber("nan") or 0 / 0, inf % inf, (-8) ^ (1 / 3), math.acos(2), -(0 / 0),
    math.abs(-(0 / 0)), math.max(0 / 0, 1), math.min(1, 0 / 0), 0 / 0 + 1, string.unpack("<d",
    string.pack("<d", -(0 / 0))), string.unpack("<I8", "\1\0\0\0\0\0\240\127") * 1.0 }
  local texts = {}
  for i, nan in ipairs(nans) do
    texts[i] = tostring(nan) .. ("%g %f %5.1f %e %a %q"):format(nan, nan, nan, nan, nan, nan)
    emit(nan, string.pack("<d", nan), string.pack(">f", nan), string.pack("n", -nan))
  end
  all, list = table.concat(texts, "\n"), nans
  signalling = string.unpack("<d", "\1\0\0\0\0\0\240\127")
  payload = string.pack("<d", (string.unpack("<d", "\255\255\255\0\0\0\248\255")))
  narrow = string.pack("<f", (string.unpack("<f", "\1\0\192\255")))
  emit(all, payload, narrow, tostring(signalling), -signalling .. "")
  emit(math.tointeger(zero / zero), zero / zero == zero / zero, zero / zero < 1, 1 < zero / zero)
  emit(pcall(rawset, {}, 0 / 0, 1), ({})[0 / 0], math.floor(n + 0.5), pcall(math.floor, 0 / 0))
  emit(pcall(string.format, "%d", 0 / 0), pcall(string.rep, "x", 0 / 0), select("#", 0 / 0))
end
