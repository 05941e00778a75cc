-- utf8: every length of code, lax and strict, errors with positions.
function frame(n, input)
  local code = input % 0x110000
  if code >= 0xD800 and code < 0xE000 then code = 0x20AC end
  text = utf8.char(code, n, 0x7FF, 0xFFFF, 0x10FFFF)
  emit(text, utf8.len(text), utf8.codepoint(text, 1, -1), utf8.offset(text, 3), utf8.offset(text,
    -1))
  local sum = 0
  for p, c in utf8.codes(text) do sum = sum * 31 + p + c end
  total = sum
  emit(utf8.len("a\xffb"), utf8.len("\xed\xa0\x80"), utf8.len("\xed\xa0\x80", 1, -1, true))
  emit(pcall(utf8.codepoint, "\xf8\x88\x80\x80\x80"), utf8.codepoint("\xf8\x88\x80\x80\x80", 1, 1,
    true))
  emit(pcall(function() for _ in utf8.codes("ab\xff") do end end), utf8.charpattern, utf8.char())
  emit(pcall(utf8.offset, text, 1, 2), pcall(utf8.char, 0x80000000), utf8.char(0x7FFFFFFF),
    pcall(utf8.len, text, 99))
  for c in text:gmatch(utf8.charpattern) do sum = sum ~ #c end
  emit(sum, utf8.len(text:sub(1, -2)))
end
