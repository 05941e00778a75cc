-- Leak: tonumber goes through strtod, which knows the locale's point.
local texts = { "1.5", "1,5", "1.5e3", " 12 ", "0x10", "0x1p4", "0x.8", "0xA.8p-1", "1e400",
  "-1e400",
  "1e-400", "inf", "nan", "infinity", "NaN(123)", "0x", "1e", "1e+", "", " ", "1 2", "1_000",
    "1.000,5",
  "9223372036854775807", "9223372036854775808", "-9223372036854775808", "0xffffffffffffffff",
  "0x1ffffffffffffffff", "1.7976931348623159e308", "4.9e-324", "2.4703282292062327e-324",
  "0.1", "123456789012345678901234567890", "1e1\0", "\t1\n", "\v\f1", "1\xa0", "\xa01", "+1", "- 1",
  "0x1.fffffffffffff8p0", "8.5e15", "9007199254740993", "5e-324", "1.e5", ".5", ".", "0x.p1",
    "1d5" }
numbers = {}
function frame(n, input)
  local text = texts[n % #texts + 1]
  emit(text, tonumber(text), math.type(tonumber(text)), pcall(function() return text + 0 end))
  for base = 2, 36, 17 do emit(tonumber(text, base), tonumber("zz", base), tonumber("-10",
    base)) end
  local digits = ("%d.%de%d"):format(input, n, input % 600 - 310)
  numbers[n % 10] = tonumber(digits)
  emit(tonumber(digits), tonumber("0x" .. ("%x"):format(input) .. "p" .. n - 500),
    tonumber("1e" .. n))
  emit(tonumber(("9"):rep(n % 400)), tonumber("0." .. ("0"):rep(n % 350) .. "7"), tonumber "7" + n)
  emit(pcall(tonumber), pcall(tonumber, "1", 1), pcall(tonumber, 1, 10), tonumber {}, tonumber "e1")
end
