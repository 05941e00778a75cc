-- world: a game's state and its frame, for world.c. Every choice comes from the state itself, so
-- a frame that runs again after a rollback does the same.
local entities, count = {}, 0
local tick, cursor = 0, 0
local stride

local function spawn(id)
  return {
    id = id, x = id % 640, y = id // 640 % 480, vx = id % 7 - 3, vy = id % 5 - 2,
    hp = 100, state = "idle", inventory = { id % 9, id % 4, 0 },
  }
end

local function greatest_common_divisor(a, b)
  while b ~= 0 do a, b = b, a % b end
  return a
end

-- Adds entities until the heap holds `kib` KiB.
function grow(kib)
  while collectgarbage("count") < kib do
    for _ = 1, 32 do
      count = count + 1
      entities[count] = spawn(count)
    end
  end
  -- Steps of a golden section of the count visit every entity once, never two neighbours in turn.
  stride = math.max(1, count * 618 // 1000)
  while greatest_common_divisor(stride, count) ~= 1 do stride = stride + 1 end
  collectgarbage()
  return count
end

local function move(e)
  local x, y = e.x + e.vx, e.y + e.vy
  if x < 0 or x > 640 then e.vx = -e.vx else e.x = x end
  if y < 0 or y > 480 then e.vy = -e.vy else e.y = y end
  local hp = e.hp - 1
  e.hp = hp > 0 and hp or 100
end

-- One frame that touches `touched` entities: neighbours, or scattered over the world, and others
-- in each frame but with the pattern "same". With `allocate`, each makes three tables: one takes
-- the place of an old one, two are garbage.
function frame(touched, pattern, allocate)
  tick = tick + 1
  local step = pattern == "clustered" and 1 or stride
  if pattern == "same" then cursor = 0 end
  local at = cursor
  for _ = 1, touched do
    at = (at + step) % count
    local e = entities[at + 1]
    move(e)
    if allocate then
      local target = { x = e.x + 1, y = e.y + 1 }
      local route = { target, e.id % 9 }
      e.inventory = { route[1].x % 9, target.y % 4, tick }
      e.state = "seek" .. tick % 100
    end
  end
  cursor = at
end

-- Goes back by so many frames of "scattered", as far as the choice of entities goes.
function rewind(frames, touched)
  tick = tick - frames
  cursor = (cursor - frames * touched * stride) % count
end

-- A number that tells worlds apart that went different ways.
function digest()
  local sum = tick * 31 + cursor
  for i = 1, count do
    local e = entities[i]
    sum = (sum * 33 + e.x * 7 + e.y * 5 + e.hp * 3 + e.vx + e.inventory[3]) & 0xffffffffffff
  end
  return sum
end
