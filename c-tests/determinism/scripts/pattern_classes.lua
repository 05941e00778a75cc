-- Leak: the classes of patterns are ctype's, under the host's locale; over all bytes.
local classes = { "%a", "%c", "%d", "%g", "%l", "%p", "%s", "%u", "%w", "%x", "%A", "%W", "%S",
  "[%a_]",
  "[^%w]", "[a-z]", "[\128-\255]", "[%l%d]", "." }
local all = {}
for i = 0, 255 do all[i + 1] = string.char(i) end
local every = table.concat(all)
function frame(n, input)
  local class = classes[n % #classes + 1]
  matched = every:gsub(class, "")
  local list = {}
  for c in every:gmatch(class) do list[#list + 1] = c:byte() end
  codes = table.concat(list, ",")
  emit(class, matched, codes, every:find(class, input % 256 + 1),
    (every:rep(2):match(class .. "+")))
  emit(every:match("%f[%w]%w+", n % 200), every:find("%f[%u]"), every:gsub("%s+", " "))
end
