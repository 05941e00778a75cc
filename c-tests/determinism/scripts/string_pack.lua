-- Leak: string.pack shows the platform's sizes, and NaN's bits. Every option.
packed = {}
function frame(n, input)
  for _, form in ipairs { "b", "B", "h", "H", "i", "I", "l", "L", "j", "J", "T", "f", "d", "n",
    "<i3", ">i3",
    "=I7", "!4 i8", "<i16", ">I16", "!8 b Xi8 i8", "s", "s1", "z", "c10", "x", "b X d", "!2 bi" } do
    local ok, bytes = pcall(string.pack, form, (form:find "[szc]" and "text" or n % 100), n % 50,
      n % 3)
    packed[form] = bytes
    local ok2, size = pcall(string.packsize, form)
    emit(form, ok, bytes, ok2, size)
    if ok then emit(pcall(string.unpack, form, bytes)) end
  end
  emit(string.pack("<d>d=d", input / 3, n, -0.0), string.pack(">f<f", input / 1e10, n / 3))
  emit(string.pack("<i8>i8 j", input, input, n), string.pack("z s2", "zero", ("x"):rep(n % 40)))
end
