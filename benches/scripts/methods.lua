-- methods: classes by metatables: inheritance through __index, accessors, virtual calls.
-- kind: cpu
local Shape = {}
Shape.__index = Shape
function Shape:scale(factor) self.factor = self.factor * factor return self end
function Shape:area() return 0 end
function Shape:weight() return self:area() * self.factor end

local function class(parent)
  local c = setmetatable({}, { __index = parent })
  c.__index = c
  return c
end

local Square = class(Shape)
function Square.new(side) return setmetatable({ side = side, factor = 1 }, Square) end
function Square:area() return self.side * self.side end

local Box = class(Square)
function Box.new(side, height)
  return setmetatable({ side = side, height = height, factor = 1 }, Box)
end
function Box:area() return 2 * Square.area(self) + 4 * self.side * self.height end

local shapes = {}
for i = 1, 100 do
  shapes[i] = i % 2 == 0 and Square.new(i % 7) or Box.new(i % 5, i % 3)
end
local total = 0
for round = 1, 30000 do
  local factor = round % 2 == 0 and 2 or 0.5
  for i = 1, #shapes, 2 do
    total = total + shapes[i]:scale(factor):weight() + shapes[i + 1]:weight()
  end
end
assert(total == 41100000, total)
