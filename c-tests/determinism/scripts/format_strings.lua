-- string.format: %s, %q, widths, zeros in strings, and what is refused.
function frame(n, input)
  local bytes = string.char(n % 256, input % 256, (input >> 8) % 256)
  emit(("%s|%10s|%-10s|%.2s|%10.3s"):format(bytes, n, n, "abc", "abcdef"))
  emit(("%q"):format(bytes), ("%q"):format("a\0b\n\r\"\\1"), ("%q"):format("\1" .. n))
  emit(("%q %q %q %q"):format(n / 3, math.mininteger, math.huge, -0.0))
  emit(("%q %q %q %q"):format(true, nil, input, 1e100), ("%q"):format(0 / 0))
  emit(("%s %s %s"):format(nil, true, n / 4), ("%%"):format(), ("%5s"):format("\xe4\xf6"))
  emit(pcall(string.format, "%q", {}), pcall(string.format, "%10q", "x"), pcall(string.format, "%"))
  emit(pcall(string.format, "%s"), pcall(string.format, "%0100d", 1), pcall(string.format, "%s",
    "a\0b"))
  emit(pcall(string.format, "%5s", "a\0b"), ("%-5s|"):format(("x"):rep(200)))
  quoted = load("return " .. ("%q"):format(input / 7))()
  same = quoted == input / 7
end
