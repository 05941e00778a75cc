-- Four balls, and every hit by a paddle makes the ball a little faster.
rules.balls = 4
rules.speed = 60
function rules.hit(ball) ball.dx = ball.dx * 11 // 10 end
