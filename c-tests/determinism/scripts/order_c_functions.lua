-- Leak: light C functions are hashed by where the library was loaded.
cache, names = {}, {}
local function learn(prefix, library)
  for name, value in pairs(library) do
    if type(value) == "function" then
      cache[value] = (cache[value] or 0) + 1
      names[value] = prefix .. name
    end
  end
end
function frame(n, input)
  learn("", _G)
  for _, library in ipairs { "string", "table", "math", "coroutine", "utf8", "os", "io",
    "debug" } do
    learn(library .. ".", _G[library])
  end
  local iterator = ipairs {}
  cache[iterator] = n
  cache[(utf8.codes "")] = n
  cache[(string.gmatch("a", "a"))] = nil
  local list = {}
  for f in pairs(cache) do list[#list + 1] = names[f] or "?" end
  order = table.concat(list, " ")
  if n % 10 == 0 then cache = {} end
  emit(#list, order)
end
