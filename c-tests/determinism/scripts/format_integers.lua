-- string.format: every conversion of integers and characters.
local flags = { "", "-", "+", " ", "#", "0", "-+", "+0", "-0" }
lines = {}
function frame(n, input)
  for _, conversion in ipairs { "d", "i", "u", "x", "X", "o", "c" } do
    local form = "%" .. flags[n % #flags + 1] .. (n % 5 > 0 and n % 5 * 4 or "")
    if n % 4 == 1 and conversion ~= "c" then form = form .. "." .. n % 15 end
    local value = conversion == "c" and input % 256 or input >> (n % 64)
    local ok, text = pcall(string.format, form .. conversion, value)
    lines[conversion] = text
    emit(form, conversion, ok, text)
  end
  emit(("%d %x %X %o"):format(math.mininteger, math.mininteger, -1, math.maxinteger))
  emit(("%d"):format(3.0), ("%d"):format("10"), pcall(string.format, "%d", "3.5"))
  emit(pcall(string.format, "%i %5.3d|%-6i|%+i", n, n, n, n), ("%c%c"):format(0, 255))
end
