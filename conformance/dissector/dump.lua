-- Prints what is in a recording, without Wireshark: lua dump.lua CAPTURE.pcap [KEYLOG]
--
-- One line of JSON for each UDP datagram, in the form that conformance/vectors/trace/README.md describes. Any Lua from 5.2
-- on and LuaJIT will do. With --frames FILE it reads plaintexts of packets instead, a line of hexadecimal digits for each.

local dir = (arg and arg[0] or "dump.lua"):match("^(.*[/\\])") or ""
local crypto = dofile(dir .. "crypto.lua")
local frames = dofile(dir .. "frames.lua")
local packets = dofile(dir .. "packets.lua")(crypto, frames)

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

-- JSON, with keys in the order of their names. A number that this Lua cannot hold is a table that holds its digits.
local function json(value)
  local kind = type(value)
  if kind == "number" then
    return math.type and math.type(value) == "integer" and tostring(value) or ("%.0f"):format(value)
  elseif kind == "boolean" then
    return tostring(value)
  elseif kind == "string" then
    return '"' .. value:gsub('[%c"\\]', function(c) return ("\\u%04x"):format(c:byte()) end) .. '"'
  end
  local digits = getmetatable(value)
  if digits then
    return digits.text
  end
  local out = {}
  if value[1] ~= nil or next(value) == nil then
    for i, item in ipairs(value) do
      out[i] = json(item)
    end
    return "[" .. table.concat(out, ",") .. "]"
  end
  local keys = {}
  for key in pairs(value) do
    keys[#keys + 1] = key
  end
  table.sort(keys)
  for i, key in ipairs(keys) do
    out[i] = json(key) .. ":" .. json(value[key])
  end
  return "{" .. table.concat(out, ",") .. "}"
end

local function shown(frame)
  local out = { type = frame.type, malformed = frame.error }
  for _, field in ipairs(frame.fields) do
    local value = field.value
    if field.kind == "bytes" then
      value = crypto.hex(value)
    elseif field.kind == "number" and type(value) == "string" then
      value = setmetatable({}, { text = value })
    end
    out[field.name] = value
  end
  return out
end

local function packet_json(packet)
  local out = { type = packet.type, sender = packet.sender, malformed = packet.error }
  for _, name in ipairs({ "dcid", "scid", "token", "retry_token" }) do
    out[name] = packet[name] and crypto.hex(packet[name])
  end
  for _, name in ipairs({ "count", "index", "number", "phase", "fec", "versions" }) do
    out[name] = packet[name]
  end
  local fragment = packet.fragment
  if fragment then
    out.fragment = { total = fragment.total, offset = fragment.offset, data = crypto.hex(fragment.data) }
  end
  if packet.frames then
    out.frames = {}
    for i, frame in ipairs(packet.frames) do
      out.frames[i] = shown(frame)
    end
  end
  return out
end

-- The UDP datagram in an IPv4 or IPv6 packet: its two addresses and its payload.
local function udp(ip)
  local version = math.floor(ip:byte(1) / 16)
  local at, from, to
  if version == 4 and ip:byte(10) == 17 then
    at = ip:byte(1) % 16 * 4 + 1
    from, to = ("%d.%d.%d.%d"):format(ip:byte(13, 16)), ("%d.%d.%d.%d"):format(ip:byte(17, 20))
  elseif version == 6 and ip:byte(7) == 17 then
    at, from, to = 41, "[" .. crypto.hex(ip:sub(9, 24)) .. "]", "[" .. crypto.hex(ip:sub(25, 40)) .. "]"
  else
    return nil
  end
  local a, b, c, d, e, f = ip:byte(at, at + 5)
  return from .. ":" .. a * 256 + b, to .. ":" .. c * 256 + d, ip:sub(at + 8, at + e * 256 + f - 1)
end

local LINKS = { [0] = 4, [1] = 14, [12] = 0, [101] = 0, [113] = 16, [228] = 0, [229] = 0 }

local function number(text, at, swapped)
  local a, b, c, d = text:byte(at, at + 3)
  if swapped then
    a, b, c, d = d, c, b, a
  end
  return a + b * 256 + c * 65536 + d * 16777216
end

-- The packets of a pcap file (not pcapng): seconds, nanoseconds and bytes from the IP header on.
local function each(capture)
  local magic = crypto.hex(capture:sub(1, 4))
  local nanos = magic == "4d3cb2a1" or magic == "a1b23c4d"
  assert(nanos or magic == "d4c3b2a1" or magic == "a1b2c3d4", "not a pcap file")
  local swapped = magic:sub(1, 1) == "a"
  local link = assert(LINKS[number(capture, 21, swapped)], "an unknown type of link")
  local at = 25
  return function()
    if at + 15 > #capture then
      return nil
    end
    local seconds, fraction = number(capture, at, swapped), number(capture, at + 4, swapped)
    local length = number(capture, at + 8, swapped)
    at = at + 16 + length
    return seconds, nanos and fraction or fraction * 1000, capture:sub(at - length + link, at - 1)
  end
end

if arg[1] == "--frames" then
  for line in read(arg[2]):gmatch("%x+") do
    local out = {}
    for i, frame in ipairs(frames.parse(crypto.unhex(line))) do
      out[i] = shown(frame)
    end
    print(json(out))
  end
  return
end

local tracker = packets.tracker(packets.key_log(arg[2] and read(arg[2]) or ""))
for seconds, nanos, ip in each(read(arg[1])) do
  local from, to, datagram = udp(ip)
  if from then
    local line = { time = ("%d.%09d"):format(seconds, nanos), from = from, to = to,
      packet = packet_json(tracker:take(from, to, datagram)) }
    print(json(line))
  end
end
