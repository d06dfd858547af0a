-- Known answers for crypto.lua and packet numbers: RFC 6234, RFC 8439 (sections 2.5, 2.8, A.3 and A.5), RFC 9000. Silent if all is well.

local dir = (arg and arg[0] or "check.lua"):match("^(.*[/\\])") or ""
local crypto = dofile(dir .. "crypto.lua")
local hex, unhex = crypto.hex, crypto.unhex

local function same(seen, expected)
  assert(seen == expected, ("%s, not %s"):format(seen, expected))
end

same(hex(crypto.sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
same(hex(crypto.sha256("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
same(hex(crypto.sha256(("a"):rep(200))), "c2a908d98f5df987ade41b5fce213067efbcc21ef2240212a41e54b5e7c28ae5")
same(hex(crypto.sha256("JetStreamProto v1 initial salt")), "222e70d4987d074125fac47a70b3ef22863ffd3ca58ca483816ac869ac7f9b1f")

local function mac(key, text, expected)
  same(hex(crypto.poly1305(unhex(key), text)), expected)
end
local zeros = ("00"):rep(15)
mac("85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b", "Cryptographic Forum Research Group",
  "a8061dc1305136c6c22b8baf0c0127a9")
-- Sums around 2^128 and 2^130 - 5.
mac("02" .. zeros .. "00" .. zeros, unhex(("ff"):rep(16)), "03" .. zeros)
mac("02" .. zeros .. ("ff"):rep(16), unhex("02" .. zeros), "03" .. zeros)
mac("01" .. zeros .. "00" .. zeros, unhex(("ff"):rep(16) .. "f0" .. ("ff"):rep(15) .. "11" .. zeros), "05" .. zeros)
mac("01" .. zeros .. "00" .. zeros, unhex(("ff"):rep(16) .. "fb" .. ("fe"):rep(15) .. ("01"):rep(16)), ("00"):rep(16))
mac("02" .. zeros .. "00" .. zeros, unhex("fd" .. ("ff"):rep(15)), "fa" .. ("ff"):rep(15))

local key = unhex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f")
local nonce, aad = unhex("070000004041424344454647"), unhex("50515253c0c1c2c3c4c5c6c7")
local sealed = unhex("d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b"
  .. "1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc3ff4def08e4b7a9de"
  .. "576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691")
same(crypto.open(key, nonce, aad, sealed),
  "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.")
for at = 1, #sealed, 13 do
  local changed = sealed:sub(1, at - 1) .. string.char((sealed:byte(at) + 1) % 256) .. sealed:sub(at + 1)
  same(crypto.open(key, nonce, aad, changed), nil)
end
same(crypto.open(key, nonce, aad, ("x"):rep(15)), nil)

-- Header protection of RFC 9001 section A.5.
local hp = unhex("25a282b9e82f06f21f488917a4fc8f1b73573685608597d0efcb076b0ab7a7a4")
same(hex(crypto.header_mask(hp, unhex("5e5cd55c41f69080575d7999c25a5bfb"))), "aefefe7d03")

-- Packet numbers: RFC 9000 section A.3, and both ways over the edge of a byte.
local packets = dofile(dir .. "packets.lua")(crypto, dofile(dir .. "frames.lua"))
same(packets.decode_number(0xa82f30ea, 0x9b32, 2), 0xa82f9b32)
same(packets.decode_number(-1, 0, 1), 0)
same(packets.decode_number(255, 3, 1), 259)
same(packets.decode_number(256, 254, 1), 254)
same(packets.decode_number(1000, 0xe7, 1), 999)
