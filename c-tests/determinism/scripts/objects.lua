-- Classes, inheritance, varargs, closures over methods.
local Animal = {}
Animal.__index = Animal
function Animal.new(class, name, ...)
  return setmetatable({ name = name, tricks = { ... } }, class)
end
function Animal:speak(...) return self.name .. " " .. select("#", ...) .. " " .. tostring((...)) end
local Dog = setmetatable({}, { __index = Animal })
Dog.__index = Dog
function Dog:speak(...) return "woof " .. Animal.speak(self, ...) end
pack, spoken = {}, {}
function frame(n, input)
  local class = input % 2 == 0 and Dog or Animal
  pack[n % 30 + 1] = class:new("a" .. n, n, nil, input)
  for i, animal in pairs(pack) do spoken[i] = animal:speak(n, nil, i) end
  local function count(...) return select("#", ...), (select("#", ...) > 0 and (select(-1,
    ...))) end
  emit(count(), count(nil, nil), count(table.unpack({ 1, 2, nil, 4 }, 1, 4)))
  local list = {}
  for _, words in pairs(spoken) do list[#list + 1] = words end
  said = table.concat(list, ";")
end
