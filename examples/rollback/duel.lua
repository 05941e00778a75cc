-- duel.lua: the game of these examples: two players who shoot, and who know nothing of frames that
-- run again. What has to roll back with it: coroutines, random numbers, the clock, tables that are
-- made and dropped, the order of pairs.
--
-- advance(a, b) runs a frame with the buttons of both players and returns a checksum of the game so
-- far. describe() tells the game in words. The host has given sound(id) before it loads this.
local LEFT, RIGHT, UP, DOWN, FIRE = 1, 2, 4, 8, 16
local WIDTH, HEIGHT, SPEED = 256, 144, 3
local START_HP = 20

local players, shots, sum = {}, {}, 0

-- A player's gun: bursts of some shots, then a reload.
local function gun(player)
  while true do
    while player.buttons & FIRE == 0 do coroutine.yield() end
    for _ = 1, math.random(2, 4) do
      local slope = math.random(-2, 2)
      shots[#shots + 1] = {owner = player, x = player.x, y = player.y, dx = 5 * player.side,
        dy = slope, name = player.name .. os.time()}
      sound(player.number)
      coroutine.yield()
      coroutine.yield()
    end
    for _ = 1, 12 do coroutine.yield() end
  end
end

for number = 1, 2 do
  local player = {number = number, name = 'player ' .. number, side = number == 1 and 1 or -1,
    x = number == 1 and 32 or WIDTH - 32, y = HEIGHT // 2, hp = START_HP, score = 0, buttons = 0}
  player.gun = coroutine.wrap(gun)
  players[number] = player
end

local function move(player)
  local buttons = player.buttons
  local function axis(less, more)
    return (buttons & more ~= 0 and SPEED or 0) - (buttons & less ~= 0 and SPEED or 0)
  end
  player.x = math.min(math.max(player.x + axis(LEFT, RIGHT), 0), WIDTH)
  player.y = math.min(math.max(player.y + axis(UP, DOWN), 0), HEIGHT)
  player.gun(player)
end

-- Shots fly; those that hit or leave are dropped. Hits are noted by player, and told in the order
-- in which pairs finds them.
local function fly()
  local flying, hits = {}, {}
  for _, shot in ipairs(shots) do
    shot.x, shot.y = shot.x + shot.dx, shot.y + shot.dy
    local target = players[3 - shot.owner.number]
    if math.abs(shot.x - target.x) < 6 and math.abs(shot.y - target.y) < 8 then
      hits[target] = (hits[target] or 0) + 1
      shot.owner.score = shot.owner.score + 1
    elseif shot.x >= 0 and shot.x <= WIDTH then
      flying[#flying + 1] = shot
    end
  end
  shots = flying
  for player, count in pairs(hits) do
    player.hp = player.hp - count
    sound(10 + player.number)
    if player.hp <= 0 then
      player.hp, player.x, player.y = START_HP, math.random(0, WIDTH), math.random(0, HEIGHT)
    end
  end
end

local function mix(value) sum = (sum ~ value) * 0x100000001b3 end

function advance(a, b)
  players[1].buttons, players[2].buttons = a, b
  for _, player in ipairs(players) do move(player) end
  fly()
  mix(os.time())
  for _, player in ipairs(players) do
    mix(player.x) mix(player.y) mix(player.hp) mix(player.score)
  end
  for _, shot in ipairs(shots) do mix(shot.x) mix(shot.y) mix(#shot.name) end
  return sum
end

-- What a wrong build, a cheat or a bug does to one peer.
function cheat() players[1].score = players[1].score + 1 end

function describe()
  local text = {}
  for _, player in ipairs(players) do
    text[#text + 1] = string.format('%s: %d,%d hp %d score %d', player.name, player.x, player.y,
      player.hp, player.score)
  end
  return table.concat(text, '; ') .. string.format('; %d shots, time %d', #shots, os.time())
end
