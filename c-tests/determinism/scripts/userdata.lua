-- Blocks of the host: bytes, user values, metatables from debug, errors of methods.
store = {}
function frame(n, input)
  local b = box(16 + n % 100, n % 256)
  b:set(n % 16 + 1, input % 256)
  b:user(1, store[n % 20])
  b:user(2, "owner" .. n)
  store[n % 20 + 1] = b
  emit(b:get(1), b:user(1, n), b:user(3, n), pcall(b.get, b, 0), pcall(b.get, {}, 1), pcall(b.set,
    b))
  emit(pcall(function() return b.x.y end), pcall(function() return b + 1 end),
    pcall(function() return #b end))
  emit(type(b), b == b, b == box(1), tostring(b) == tostring(b), rawequal(b, store[n % 20 + 1]))
end
