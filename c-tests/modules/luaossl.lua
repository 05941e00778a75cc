-- luaossl: digests, ciphers, numbers, keys, certificates: each a pointer of OpenSSL's.
local digest = require 'openssl.digest'
local hmac = require 'openssl.hmac'
local cipher = require 'openssl.cipher'
local bignum = require 'openssl.bignum'
local pkey = require 'openssl.pkey'
local x509 = require 'openssl.x509'
local name = require 'openssl.x509.name'

local function hex(s) return (s:gsub('.', function(c) return ('%02x'):format(c:byte()) end)) end

function frame(n)
    trace[#trace + 1] = hex(digest.new 'sha256':final('frame' .. n)):sub(1, 8)
    collect()
    trace[#trace + 1] = hex(hmac.new('key', 'sha1'):final(tostring(n))):sub(1, 8)
    local c = cipher.new 'aes-128-cbc':encrypt(('k'):rep(16), ('i'):rep(16))
    trace[#trace + 1] = #c:final('some text ' .. n)
    cipher.new 'aes-128-cbc'
    digest.new():update 'left unfinished'
    state[n] = bignum.new(n) * bignum.new '123456789012345678901234567890'
    if state[n - 2] then
        trace[#trace + 1] = tostring(state[n - 2])
        if n % 2 == 0 then state[n - 2] = nil end
    end
    collect()
    state.digest = state.digest or digest.new 'md5'
    pcall(state.digest.update, state.digest, 'more')
    if n == 6 then pcall(state.digest.final, state.digest) state.digest = nil end
    if n % 5 == 1 then state.key = pkey.new {type = 'EC', curve = 'prime256v1'} end
    if state.key then state.pem = #state.key:toPEM 'public' > 50 end
    trace[#trace + 1] = tostring(state.pem)
    if n == 4 then state.key = nil end
    local certificate = x509.new()
    local subject = name.new()
    subject:add('CN', 'frame ' .. n)
    certificate:setSubject(subject)
    trace[#trace + 1] = tostring(certificate:getSubject())
    collect()
end
