-- game.lua: the game of the playground: two paddles, a ball, sparks. It knows nothing of snapshots,
-- of the network, or of frames that run again.
--
-- advance(a, b) runs a frame with the inputs of both players and returns a checksum of the game so
-- far. picture(), score() and bot(player) only look. Mods change `rules`; see mods/.
--
-- All positions are integers, in ONE-ths of a character cell.
local UP, DOWN, SMASH = 1, 2, 4
local ONE = 256
WIDTH, HEIGHT = 38, 11

local players, balls, sparks, sum, frame = {}, {}, {}, 0, 0

rules = {}

-- A mod begins from these.
function reset_rules()
  rules = {
    paddle = 3,      -- cells
    speed = 90,      -- of a ball, each frame
    balls = 1,
    gravity = 0,     -- added to a ball's vertical speed, each frame
    each_frame = function(balls, players) end,
    hit = function(ball, player) end,
  }
end

-- Where a mod went wrong: back to the rules of the game.
function drop_mod() reset_rules() end

local function spark(x, y, count)
  for _ = 1, count do
    sparks[#sparks + 1] = {x = x, y = y, dx = math.random(-60, 60), dy = math.random(-40, 40),
      left = math.random(10, 40)}
  end
end

-- A ball's life: it waits in the middle, is served, flies until somebody misses it.
local function live(ball)
  while true do
    ball.x, ball.y, ball.dx, ball.dy = WIDTH * ONE // 2, HEIGHT * ONE // 2, 0, 0
    for _ = 1, 40 do coroutine.yield() end
    ball.dx = math.random(0, 1) == 0 and -rules.speed or rules.speed
    ball.dy = math.random(-50, 50)
    repeat coroutine.yield() until ball.out
    local winner = players[ball.out == 1 and 2 or 1]
    winner.score, ball.out = winner.score + 1, nil
    spark(ball.x, ball.y, 20)
  end
end

local function new_ball()
  local ball = {x = 0, y = 0, dx = 0, dy = 0}
  ball.life = coroutine.create(live)
  return ball
end

local function bounce(ball, player)
  local half = (rules.paddle + 1) * ONE // 2
  if math.abs(ball.y - player.y) > half then ball.out = player.number return end
  ball.dx = -ball.dx
  ball.dy = (ball.y - player.y) // 6 + math.random(-8, 8)
  if player.smash > 0 then ball.dx = ball.dx * 3 // 2 spark(ball.x, ball.y, 12) end
  ball.dx = math.max(-3 * rules.speed, math.min(3 * rules.speed, ball.dx))
  rules.hit(ball, player)
  spark(ball.x, ball.y, 5)
end

local function move_ball(ball)
  ball.dy = ball.dy + rules.gravity
  ball.x, ball.y = ball.x + ball.dx, ball.y + ball.dy
  if ball.y < ONE // 2 then ball.y, ball.dy = ONE // 2, math.abs(ball.dy) end
  local floor = HEIGHT * ONE - ONE // 2
  if ball.y > floor then ball.y, ball.dy = floor, -math.abs(ball.dy) end
  if ball.dx < 0 and ball.x < 2 * ONE then bounce(ball, players[1]) end
  if ball.dx > 0 and ball.x > (WIDTH - 2) * ONE then bounce(ball, players[2]) end
  local ok, message = coroutine.resume(ball.life, ball)
  if not ok then error(message, 0) end
end

local function move_player(player, input)
  local step = (input & DOWN ~= 0 and 70 or 0) - (input & UP ~= 0 and 70 or 0)
  local half = rules.paddle * ONE // 2
  player.y = math.max(half, math.min(HEIGHT * ONE - half, player.y + step))
  player.smash = input & SMASH ~= 0 and 8 or math.max(player.smash - 1, 0)
end

local function move_sparks()
  local left = {}
  for _, s in ipairs(sparks) do
    s.x, s.y, s.left = s.x + s.dx, s.y + s.dy, s.left - 1
    if s.left > 0 then left[#left + 1] = s end
  end
  sparks = left
end

local function mix(value) sum = (sum ~ value) * 0x100000001b3 end

function advance(a, b)
  frame = frame + 1
  while #balls < rules.balls do balls[#balls + 1] = new_ball() end
  while #balls > rules.balls do balls[#balls] = nil end
  move_player(players[1], a)
  move_player(players[2], b)
  for _, ball in ipairs(balls) do move_ball(ball) end
  move_sparks()
  rules.each_frame(balls, players)
  for _, player in ipairs(players) do mix(player.y) mix(player.score) end
  for _, ball in ipairs(balls) do mix(ball.x) mix(ball.y) mix(ball.dx) end
  for _, s in ipairs(sparks) do mix(s.x) mix(s.y) end
  return sum
end

-- One character a cell: `o` ball, `|` paddle, `!` paddle that smashes, `*` spark, `.` a mod's.
function picture()
  local cells = {}
  local function put(x, y, mark)
    local column, row = x // ONE, y // ONE
    if column >= 0 and column < WIDTH and row >= 0 and row < HEIGHT then
      cells[row * WIDTH + column + 1] = mark
    end
  end
  for i, flake in ipairs(rules.flakes or {}) do -- some of them, or the ball is not seen
    if i % 8 == 0 then put(flake.x, flake.y, '.') end
  end
  for _, s in ipairs(sparks) do put(s.x, s.y, '*') end
  for _, player in ipairs(players) do
    local x = player.number == 1 and ONE or (WIDTH - 2) * ONE
    local top = player.y - rules.paddle * ONE // 2
    for cell = 0, rules.paddle - 1 do
      put(x, top + cell * ONE + ONE // 2, player.smash > 0 and '!' or '|')
    end
  end
  for _, ball in ipairs(balls) do put(ball.x, ball.y, 'o') end
  for cell = 1, WIDTH * HEIGHT do cells[cell] = cells[cell] or ' ' end
  return table.concat(cells)
end

function score() return players[1].score, players[2].score end

-- What a player might press: it follows the ball that comes, now and then to the wrong place.
function bot(number)
  local player, wanted = players[number], HEIGHT * ONE // 2
  local side, best = number == 1 and -1 or 1, nil
  for _, ball in ipairs(balls) do
    local distance = number == 1 and ball.x or WIDTH * ONE - ball.x
    if ball.dx * side > 0 and (not best or distance < best) then
      best, wanted = distance, ball.y + ball.dy * 4 + (frame // 60 * 7 + number) % 5 * ONE // 2
    end
  end
  local input = 0
  if wanted < player.y - ONE // 2 then input = UP end
  if wanted > player.y + ONE // 2 then input = DOWN end
  if best and best < 4 * ONE and frame % 3 == 0 then input = input | SMASH end
  return input
end

-- What a wrong build or a cheat does to one peer.
function cheat() players[2].score = players[2].score + 1 end

-- The seed is what the peers agreed on.
function new_match(seed)
  math.randomseed(seed)
  players, balls, sparks, sum, frame = {}, {}, {}, 0, 0
  for number = 1, 2 do
    players[number] = {number = number, y = HEIGHT * ONE // 2, smash = 0, score = 0}
  end
  reset_rules()
end
