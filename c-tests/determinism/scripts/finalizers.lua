-- The order of finalizers, what they see and make, objects that come back, errors in them.
log, back, count = {}, {}, 0
local function mortal(id)
  return setmetatable({ id = id }, { __gc = function(self)
    count = count + 1
    log[#log % 40 + 1] = self.id
    if self.id % 5 == 0 then back[self.id % 30] = self end
    if self.id % 11 == 0 then error "in a finalizer" end
    if self.id % 7 == 0 then spawned = { setmetatable({ id = self.id + 1 },
      getmetatable(self)) } end
  end })
end
function frame(n, input)
  for i = 1, 5 do
    local object = mortal(n * 10 + i)
    object.next = mortal(n * 10 + i + 5)
  end
  if n % 3 == 0 then local b = setmetatable({ box(64) }, { __gc = function(s) s[1]:set(1,
    n % 256) end }) end
  if n % 60 == 0 then collectgarbage() end
  order = table.concat(log, " ")
  emit(count, order)
end
