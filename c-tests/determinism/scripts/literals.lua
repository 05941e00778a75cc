-- Numbers in source text: the lexer's own reader, with the locale's point and ctype.
function frame(n, input)
  local texts = { input / 7, n / 3, "0x1.8p3", "3", "3.0", "1e5", "0xffffffffffffffffff",
    "1e308 * 10",
    n .. ".5", "." .. n, "9223372036854775808", "-9223372036854775808", "0x7fffffffffffffff + 1",
    "3 .. 4", "1//0.0", "'10' * '0x10'", "2^53 + 1", "1e15, 1e16, -0.0", "5 // 0.3" }
  values = {}
  for i, text in ipairs(texts) do
    local f = load("return " .. (type(text) == "number" and ("%.17g"):format(text) or text))
    values[i] = f and f()
    emit(text, f and f())
  end
  emit(load("return 1,5")(), load("return 1\xa05"), load("return \xe4x"), load("local \xc4 = 1"))
  emit(load("return '\\x41\\u{20AC}\\z   \\65\\n'")(), #load("return [==[\r\n]]\n\r]==]")())
end
