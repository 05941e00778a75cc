-- string.unpack: every kind of refusal, and floats from bytes.
values = {}
function frame(n, input)
  local bytes = string.pack("<i8i8", input, input * n) .. ("x"):rep(n % 9)
  for _, form in ipairs { "<d", ">d", "<f", ">f", "<i3", ">I5", "<i8", "z", "s1", "<i16", "b",
    "B", "c4", "<j",
    "!8 b i8", "<T" } do
    local ok, value, at = pcall(string.unpack, form, bytes, n % 5 + 1)
    values[form] = value
    emit(form, ok, value, at)
  end
  emit(pcall(string.unpack, "<i17", bytes), pcall(string.unpack, "i0", bytes),
    pcall(string.unpack, "y", bytes))
  emit(pcall(string.unpack, "<i8", bytes, 100), pcall(string.unpack, "<I9", ("\255"):rep(9)))
  emit(pcall(string.pack, "b", 200), pcall(string.pack, "B", -1), pcall(string.pack, "!3 i", 1))
  emit(pcall(string.pack, "z", "a\0b"), pcall(string.pack, "s1", ("x"):rep(300)),
    pcall(string.pack, "c2", "abc"))
  emit(pcall(string.packsize, "s"), pcall(string.packsize, "c2147483647c2147483647"),
    pcall(string.pack, "i", 2^31))
end
