-- Balls fall. Edit this while the playground runs: each time you save it, both VMs swap it in at
-- the same frame.
rules.gravity = 3
rules.paddle = 4
