-- _ENV, sandboxes with their own globals, loaded modules in package.loaded.
mods = {}
package.preload.helper = function(name, extra) return { name = name, extra = extra } end
function frame(n, input)
  local env = setmetatable({ n = n }, { __index = { tostring = tostring, math = math } })
  local f = load("count = (count or 0) + n; return tostring(count), math.sin(count)", "mod", "t",
    env)
  for _ = 1, 3 do emit(f()) end
  mods[n % 20 + 1] = env
  emit(require "helper", require("helper").name, package.loaded.helper.extra)
  local list = {}
  for name in pairs(package.loaded) do list[#list + 1] = name end
  loaded = table.concat(list, " ")
  local globals = {}
  for name in pairs(_G) do globals[#globals + 1] = name end
  all = table.concat(globals, " ")
  _G["dynamic" .. n % 25] = n
  rawset(_G, "dynamic" .. (n + 3) % 25, nil)
  emit(loaded, all, _ENV == _G, _G._G == _G)
end
