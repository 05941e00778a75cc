-- Strings as numbers and numbers as strings, in arithmetic, concatenation, loops and libraries.
function frame(n, input)
  local s = tostring(n)
  emit(s + 1, s * "2", "0x10" + n, "1e1" * 1, -s, s ^ 2, s // "3", "7" % s, " 5 " + 0, "5." + 0,
    s .. 1 .. 2.0)
  emit(math.type(s + 1), math.type(s * 1.0), "10" // 3, "10" / 2, 10 .. "", -0.0 .. "",
    1e100 .. "", 2^31 .. "")
  emit(pcall(function() return "abc" + 1 end), pcall(function() return {} .. "x" end),
    pcall(function() return nil .. 1 end))
  emit(("x"):rep("3"), ("abc"):sub("2"), pcall(math.max, "10", 9), pcall(math.max, "x"),
    ("5"):rep(2.0),
    #s, s < "50")
  emit(string.format("%d %s %5.1f", "10", 10, "3.7"), tostring(1e15), tostring(-1e15), 1e15 | 0,
    pcall(function() return "3" | 4 end))
  value = (s .. n) + input % 10
end
