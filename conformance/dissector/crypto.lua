-- SHA-256, HKDF and ChaCha20-Poly1305 in plain Lua 5.1 to 5.4 and LuaJIT, for the dissector.
--
-- Slow and not constant in time: for reading recordings, never for sending. Keys, nonces and texts are strings of bytes.
-- Errors of the caller raise; what does not open is `nil`.

local M = {}

local byte, char, sub, rep = string.byte, string.char, string.sub, string.rep
local concat, floor = table.concat, math.floor
local compile, spread = loadstring or load, table.unpack or unpack
local TWO32 = 4294967296

-- Bits. Lua 5.3 and later have operators, which older ones cannot even parse; those have a library, or not.
local native = compile("return function(a, b) return a ~ b, a & b, a >> b end")
local bits = not native and (rawget(_G, "bit") or rawget(_G, "bit32"))
assert(native or bits, "this Lua has neither operators nor a library for bits")

local bxor, band, ror
if native then
  bxor = compile("return function(a, b) return a ~ b end")()
  band = compile("return function(a, b) return a & b end")()
  ror = compile("return function(a, n) return (a >> n | a << (32 - n)) & 0xffffffff end")()
else
  bxor, band, ror = bits.bxor, bits.band, bits.ror or bits.rrotate
end
M.bxor, M.band = bxor, band

-- What a word is worth without its sign; libraries disagree about that.
local function word(a)
  return a % TWO32
end

local function be32(n)
  n = word(n)
  return char(floor(n / 16777216), floor(n / 65536) % 256, floor(n / 256) % 256, n % 256)
end

local function le32_at(s, at)
  local a, b, c, d = byte(s, at, at + 3)
  return a + b * 256 + c * 65536 + d * 16777216
end

-- SHA-256 -------------------------------------------------------------------------------------------------------------

local K, INIT = {}, {}
do
  local hex = "428a2f9871374491b5c0fbcfe9b5dba53956c25b59f111f1923f82a4ab1c5ed5d807aa9812835b01243185be550c7dc372be5d74"
    .. "80deb1fe9bdc06a7c19bf174e49b69c1efbe47860fc19dc6240ca1cc2de92c6f4a7484aa5cb0a9dc76f988da983e5152a831c66d"
    .. "b00327c8bf597fc7c6e00bf3d5a7914706ca63511429296727b70a852e1b21384d2c6dfc53380d13650a7354766a0abb81c2c92e"
    .. "92722c85a2bfe8a1a81a664bc24b8b70c76c51a3d192e819d6990624f40e3585106aa07019a4c1161e376c082748774c34b0bcb5"
    .. "391c0cb34ed8aa4a5b9cca4f682e6ff3748f82ee78a5636f84c878148cc7020890befffaa4506cebbef9a3f7c67178f2"
  for i = 1, 64 do
    K[i] = tonumber(sub(hex, 8 * i - 7, 8 * i), 16)
  end
  local start = "6a09e667bb67ae853c6ef372a54ff53a510e527f9b05688c1f83d9ab5be0cd19"
  for i = 1, 8 do
    INIT[i] = tonumber(sub(start, 8 * i - 7, 8 * i), 16)
  end
end

local function compress(state, s, at)
  local w = {}
  for i = 1, 16 do
    local a, b, c, d = byte(s, at + 4 * i - 4, at + 4 * i - 1)
    w[i] = a * 16777216 + b * 65536 + c * 256 + d
  end
  for i = 17, 64 do
    local x, y = w[i - 15], w[i - 2]
    local s0 = bxor(bxor(ror(x, 7), ror(x, 18)), floor(x / 8))
    local s1 = bxor(bxor(ror(y, 17), ror(y, 19)), floor(y / 1024))
    w[i] = word(w[i - 16] + word(s0) + w[i - 7] + word(s1))
  end
  local a, b, c, d = state[1], state[2], state[3], state[4]
  local e, f, g, h = state[5], state[6], state[7], state[8]
  for i = 1, 64 do
    local s1 = bxor(bxor(ror(e, 6), ror(e, 11)), ror(e, 25))
    local choice = bxor(g, band(e, bxor(f, g)))
    local t1 = h + word(s1) + word(choice) + K[i] + w[i]
    local s0 = bxor(bxor(ror(a, 2), ror(a, 13)), ror(a, 22))
    local majority = bxor(band(a, bxor(b, c)), band(b, c))
    h, g, f, e = g, f, e, word(d + t1)
    d, c, b, a = c, b, a, word(t1 + word(s0) + word(majority))
  end
  local new = { a, b, c, d, e, f, g, h }
  for i = 1, 8 do
    state[i] = word(state[i] + new[i])
  end
end

function M.sha256(s)
  local state = {}
  for i = 1, 8 do
    state[i] = INIT[i]
  end
  local padded = s .. "\128" .. rep("\0", (55 - #s) % 64) .. "\0\0\0" .. char(floor(#s / 536870912)) .. be32(#s * 8)
  for at = 1, #padded, 64 do
    compress(state, padded, at)
  end
  local out = {}
  for i = 1, 8 do
    out[i] = be32(state[i])
  end
  return concat(out)
end

local function masked(key, value)
  local out = {}
  for i = 1, 64 do
    out[i] = char(bxor(byte(key, i), value) % 256)
  end
  return concat(out)
end

function M.hmac(key, text)
  if #key > 64 then
    key = M.sha256(key)
  end
  key = key .. rep("\0", 64 - #key)
  return M.sha256(masked(key, 0x5c) .. M.sha256(masked(key, 0x36) .. text))
end

-- HKDF-Extract.
function M.extract(salt, ikm)
  return M.hmac(salt, ikm)
end

-- Expand(prk, label, ctx, L) of specification section 2.4.
function M.expand(prk, label, ctx, length)
  label = "jsp1 " .. label
  local info = char(floor(length / 256), length % 256, #label) .. label .. char(#ctx) .. ctx
  local out, last, n = "", "", 0
  while #out < length do
    n = n + 1
    last = M.hmac(prk, last .. info .. char(n))
    out = out .. last
  end
  return sub(out, 1, length)
end

-- ChaCha20 ------------------------------------------------------------------------------------------------------------

-- The rounds are written out, in the dialect that this Lua understands: a call per operation would cost ten times more.
local rounds
do
  local function turn(a, b, z, n)
    -- a = a + b; z = (z xor a) rotated by n
    if native then
      return ("x%d=(x%d+x%d)&0xffffffff x%d=x%d~x%d x%d=(x%d<<%d|x%d>>%d)&0xffffffff\n")
        :format(a, a, b, z, z, a, z, z, n, z, 32 - n)
    end
    -- The libraries take sums modulo 2^32, and these stay below 2^40.
    return ("x%d=x%d+x%d x%d=rol(bxor(x%d,x%d),%d)\n"):format(a, a, b, z, z, a, n)
  end
  local function quarter(a, b, c, d)
    return turn(a, b, d, 16) .. turn(c, d, b, 12) .. turn(a, b, d, 8) .. turn(c, d, b, 7)
  end
  local names = {}
  for i = 0, 15 do
    names[i + 1] = "x" .. i
  end
  local list = concat(names, ",")
  local text = "local rol, bxor = ... return function(" .. list .. ")\nfor _ = 1, 10 do\n"
    .. quarter(0, 4, 8, 12) .. quarter(1, 5, 9, 13) .. quarter(2, 6, 10, 14) .. quarter(3, 7, 11, 15)
    .. quarter(0, 5, 10, 15) .. quarter(1, 6, 11, 12) .. quarter(2, 7, 8, 13) .. quarter(3, 4, 9, 14)
    .. "end\nreturn " .. list .. " end"
  rounds = assert(compile(text))(bits and (bits.rol or bits.lrotate), bxor)
end

local function key_words(key, nonce)
  local w = { 0x61707865, 0x3320646e, 0x79622d32, 0x6b206574 }
  for i = 0, 7 do
    w[5 + i] = le32_at(key, 4 * i + 1)
  end
  for i = 0, 2 do
    w[14 + i] = le32_at(nonce, 4 * i + 1)
  end
  return w
end

local function block(w, counter)
  w[13] = counter
  local out = { rounds(w[1], w[2], w[3], w[4], w[5], w[6], w[7], w[8], w[9], w[10], w[11], w[12], w[13], w[14], w[15], w[16]) }
  local bytes, at = {}, 0
  for i = 1, 16 do
    local n = (out[i] + w[i]) % TWO32
    for _ = 1, 4 do
      local low = n % 256
      at = at + 1
      bytes[at] = low
      n = (n - low) / 256
    end
  end
  return bytes
end

-- The key stream from block `counter` on, xored over `text`. `key` has 32 bytes, `nonce` 12.
function M.chacha20(key, nonce, counter, text)
  local w, out = key_words(key, nonce), {}
  for at = 1, #text, 64 do
    local stream = block(w, counter)
    counter = (counter + 1) % TWO32
    local piece = { byte(text, at, at + 63) }
    for i = 1, #piece do
      piece[i] = char(bxor(piece[i], stream[i] - stream[i] % 1) % 256)
    end
    out[#out + 1] = concat(piece)
  end
  return concat(out)
end

-- The mask of header protection (RFC 9001 section 5.4.4).
function M.header_mask(hp, sample)
  return M.chacha20(hp, sub(sample, 5, 16), le32_at(sample, 1), "\0\0\0\0\0")
end

-- Poly1305, in ten limbs of 13 bits: their products fit whatever numbers a Lua has ----------------------------------------

local function limbs_of(s, first, last, high)
  local out, acc, held = {}, 0, 1
  for i = first, last do
    acc = acc + byte(s, i) * held
    held = held * 256
    if held >= 8192 then
      local low = acc % 8192
      out[#out + 1] = low
      acc = (acc - low) / 8192
      held = held / 8192
    end
  end
  acc = acc + high * held
  while #out < 10 do
    local low = acc % 8192
    out[#out + 1] = low
    acc = (acc - low) / 8192
  end
  return out
end

local function carried(h)
  local carry = 0
  for i = 1, 10 do
    local n = h[i] + carry
    local low = n % 8192
    h[i] = low
    carry = (n - low) / 8192
  end
  h[1] = h[1] + 5 * carry
end

function M.poly1305(key, text)
  local clamped = { byte(key, 1, 16) }
  for i = 4, 16, 4 do
    clamped[i] = clamped[i] % 16
  end
  for i = 5, 13, 4 do
    clamped[i] = clamped[i] - clamped[i] % 4
  end
  local r = limbs_of(char(spread(clamped)), 1, 16, 0)
  local wrapped = {}
  for i = 1, 10 do
    wrapped[i] = 5 * r[i]
  end
  local h = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }
  for at = 1, #text, 16 do
    local m = limbs_of(text, at, math.min(at + 15, #text), 1)
    for i = 1, 10 do
      m[i] = m[i] + h[i]
    end
    for i = 1, 10 do
      local sum = 0
      for j = 1, i do
        sum = sum + m[j] * r[i - j + 1]
      end
      for j = i + 1, 10 do
        sum = sum + m[j] * wrapped[i - j + 11]
      end
      h[i] = sum
    end
    carried(h)
    carried(h)
  end
  for _ = 1, 3 do
    carried(h)
  end
  -- h - (2^130 - 5), if that is not negative: adding 5 carries out of the top then.
  local g, carry = {}, 5
  for i = 1, 10 do
    local n = h[i] + carry
    g[i] = n % 8192
    carry = (n - g[i]) / 8192
  end
  local value = carry > 0 and g or h
  local out, acc, held, limb, carry_out = {}, 0, 1, 0, 0
  for i = 1, 16 do
    while held < 256 do
      limb = limb + 1
      acc = acc + (value[limb] or 0) * held
      held = held * 8192
    end
    local n = acc % 256 + byte(key, 16 + i) + carry_out
    acc = (acc - acc % 256) / 256
    held = held / 256
    carry_out = n >= 256 and 1 or 0
    out[i] = char(floor(n % 256))
  end
  return concat(out)
end

local function padded(s)
  return s .. rep("\0", -#s % 16)
end

local function le64(n)
  return char(n % 256, floor(n / 256) % 256, floor(n / 65536) % 256, floor(n / 16777216) % 256) .. "\0\0\0\0"
end

-- ChaCha20-Poly1305 (RFC 8439). `sealed` ends with the tag. `nil` if it does not open.
function M.open(key, nonce, aad, sealed)
  if #sealed < 16 then
    return nil
  end
  local text, tag = sub(sealed, 1, -17), sub(sealed, -16)
  local one_time = M.chacha20(key, nonce, 0, rep("\0", 32))
  local mac = M.poly1305(one_time, padded(aad) .. padded(text) .. le64(#aad) .. le64(#text))
  if mac ~= tag then
    return nil
  end
  return M.chacha20(key, nonce, 1, text)
end

-- `iv` xored with a number in its last eight bytes.
function M.nonce(iv, number)
  local out = { byte(iv, 1, 12) }
  for i = 12, 5, -1 do
    local low = number % 256
    number = (number - low) / 256
    out[i] = bxor(out[i], low - low % 1) % 256
  end
  for i = 1, 12 do
    out[i] = char(out[i])
  end
  return concat(out)
end

function M.hex(s)
  return (s:gsub(".", function(c)
    return ("%02x"):format(byte(c))
  end))
end

function M.unhex(s)
  if #s % 2 == 1 or s:find("[^0-9a-fA-F]") then
    return nil
  end
  return (s:gsub("..", function(pair)
    return char(tonumber(pair, 16))
  end))
end

return M
