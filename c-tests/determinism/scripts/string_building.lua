-- Buffers: long concatenations, repetitions, and the userdata that luaL_Buffer grows into.
text = ""
function frame(n, input)
  text = (text .. n .. ":" .. input % 1000 .. ",")
  if #text > 3000 then text = text:sub(-1000) end
  local parts = {}
  for i = 1, 40 do parts[i] = ("%d-%s"):format(i, ("ab"):rep(i % 9)) end
  joined = table.concat(parts, n % 2 == 0 and "" or "; ")
  long = ("0123456789"):rep(100 + n % 50, "|")
  reversed = long:reverse():sub(1, 50)
  replaced = long:gsub("%d", function(d) return d + 0 < 5 and d .. d or "" end):sub(1, 80)
  a, b = "short" .. n, "short" .. n
  emit(#long, reversed, replaced, joined, a == b, text:byte(-1), (text:gsub(",", "\0")):sub(1, 9))
end
