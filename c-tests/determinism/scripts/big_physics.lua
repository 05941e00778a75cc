-- A physics step: springs, friction, collisions, angles; trigonometry and square roots throughout.
bodies = {}
for i = 1, 40 do
  bodies[i] = { x = i * 3.1 % 50, y = i * 7.7 % 50, vx = 0, vy = 0, a = i, w = 0.01 * i,
    m = 1 + i % 5 }
end
energy = 0
function frame(n, input)
  local dt, sin, cos, sqrt, atan = 1 / 60, math.sin, math.cos, math.sqrt, math.atan
  local wind = (input % 2001 - 1000) / 500
  for i = 1, #bodies do
    local b = bodies[i]
    local fx, fy = wind + cos(b.a) * 3, -9.81 + sin(b.a) * 3
    for j = 1, #bodies do
      if j ~= i then
        local o = bodies[j]
        local dx, dy = o.x - b.x, o.y - b.y
        local d = sqrt(dx * dx + dy * dy) + 1e-9
        if d < 2 then
          fx, fy = fx - dx / d * (2 - d) * 80, fy - dy / d * (2 - d) * 80
          b.w = b.w + atan(dy, dx) * 1e-4
        elseif (i + j) % 7 == 0 then
          fx, fy = fx + dx * 0.1, fy + dy * 0.1
        end
      end
    end
    b.vx, b.vy = (b.vx + fx / b.m * dt) * 0.995, (b.vy + fy / b.m * dt) * 0.995
  end
  energy = 0
  for _, b in ipairs(bodies) do
    b.x, b.y, b.a = b.x + b.vx * dt, b.y + b.vy * dt, b.a + b.w * dt
    if b.y < 0 then b.y, b.vy = -b.y, -b.vy * 0.8 end
    if b.x < 0 or b.x > 50 then b.vx = -b.vx b.x = math.max(0, math.min(50, b.x)) end
    energy = energy + 0.5 * b.m * (b.vx ^ 2 + b.vy ^ 2) + b.m * 9.81 * b.y + math.exp(-b.a ^ 2)
  end
  emit(energy, ("%.6f %g"):format(energy, bodies[n % 40 + 1].a))
end
