-- A variable of the host that does not roll back: no run that goes straight on sees it.
-- caught in: rollback
-- named: _G.bullets.next_id
bullets = { next_id = 0 }
function frame(n)
  bullets.next_id = host_count()
end
