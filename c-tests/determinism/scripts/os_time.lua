-- Leak: os.time and os.date read the clock, the zone and the locale.
started = os.time()
function frame(n, input)
  now = os.time()
  date = os.date()
  parts = os.date "*t"
  local when = input % 4000000000
  emit(now, date, os.date("!%c", when), os.date("%x %X %p", when),
    os.date("%A %B %d %H:%M:%S %Y %Z", when))
  emit(os.time { year = 2000 + n % 100, month = n % 14, day = n % 40, hour = 2 }, os.date("!*t",
    when).yday)
  emit(os.time { year = 2024, month = 3, day = 31, hour = 2, min = 30, isdst = true })
  local noon = os.date("*t", when)
  emit(noon.hour, noon.isdst, noon.wday, os.time(noon), os.difftime(now, started),
    os.difftime(when, n))
  emit(pcall(os.date, "%Ez", when), pcall(os.date, "%Q", 0), pcall(os.time, { year = 2020 }),
    pcall(os.date, "*t", 1e100))
  emit(pcall(os.time, { year = 1e10 | 0, month = 1, day = 1 }), pcall(os.date, "%c",
    math.maxinteger), os.date("!%G-%V-%u %j %U %W", when))
end
