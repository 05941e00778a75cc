-- string.format: every conversion of floats with flags, widths and precisions.
local flags = { "", "-", "+", " ", "#", "0", "-+", "+0", "# ", "0#" }
local values = { 0.0, -0.0, 1, -1, 0.5, 1 / 3, 2 / 3, 1e10, 123456.789, 1e-5, 1e100,
  1.7976931348623157e308,
  5e-324, 2.5, 3.5, 0.05, 0.25, 999999.5, 9.9999995, math.huge, -math.huge, math.pi, 1e22, 1e23 }
lines = {}
function frame(n, input)
  for _, conversion in ipairs { "e", "E", "f", "F", "g", "G", "a", "A" } do
    local form = "%" .. flags[n % #flags + 1] .. (n % 4 * 7 > 0 and n % 4 * 7 or "")
    form = form .. (n % 3 > 0 and "." .. input % 21 or "") .. conversion
    local value = values[input % #values + 1]
    local ok, text = pcall(string.format, form, value)
    local ok2, text2 = pcall(string.format, form, input / 1e6)
    lines[conversion] = text
    emit(form, ok, text, ok2, text2)
  end
  emit(("%.99f"):format(1 / 3), ("%.3f"):format(n / 8), ("%10.4f|%-10.2e|"):format(n, n))
  emit(("%.14g %.17g %.16g %.15g %g"):format(n / 10, n / 10, n / 10, n / 10, n / 10))
end
