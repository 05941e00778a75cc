-- A thousand snowflakes: a state that is larger, and changes everywhere in each frame. Watch what a
-- rollback takes.
rules.flakes = {}
for i = 1, 1000 do
  rules.flakes[i] = {x = math.random(0, WIDTH * 256), y = math.random(0, HEIGHT * 256),
    dx = math.random(-12, 12), dy = math.random(4, 20)}
end
function rules.each_frame()
  for _, flake in ipairs(rules.flakes) do
    flake.x, flake.y = (flake.x + flake.dx) % (WIDTH * 256), (flake.y + flake.dy) % (HEIGHT * 256)
  end
end
