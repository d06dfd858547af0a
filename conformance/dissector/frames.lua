-- The frames of a packet (specification section 4): from its plaintext to names, values and places.
--
-- A frame is a table: `type` (its name), `code`, `at` and `len` (its place in the plaintext, from 1), and `fields`, a list
-- of tables with `name`, `value`, `kind`, `at` and `len`. Kinds are "number", "bytes" (a string of bytes), "text", "flag"
-- and "ranges" (a list of pairs). Numbers above 2^53 are decimal strings where this Lua has no integers.

local M = {}

local byte, sub = string.byte, string.sub
local floor = math.floor
local integers = math.type ~= nil

-- Decimal digits of high * 2^32 + low.
local function decimal(high, low)
  local digits = {}
  repeat
    local rest = high % 10
    high = floor(high / 10)
    local n = rest * 4294967296 + low
    low = floor(n / 10)
    table.insert(digits, 1, ("%d"):format(n % 10))
  until high == 0 and low == 0
  return table.concat(digits)
end

-- A reader of one string. What is missing raises `M.TRUNCATED`, which `parse` catches.
local Reader = {}
Reader.__index = Reader
M.TRUNCATED = "the packet ends within the frame"

function M.reader(text, at)
  return setmetatable({ text = text, at = at or 1 }, Reader)
end

function Reader:left()
  return #self.text - self.at + 1
end

function Reader:bytes(count)
  if type(count) ~= "number" or count > self:left() then
    error(M.TRUNCATED, 0)
  end
  self.at = self.at + count
  return sub(self.text, self.at - count, self.at - 1)
end

function Reader:u8()
  return byte(self:bytes(1))
end

function Reader:u16()
  local a, b = byte(self:bytes(2), 1, 2)
  return a * 256 + b
end

-- RFC 9000 section 16.
function Reader:varint()
  local first = self:u8()
  local more = ({ [0] = 0, 1, 3, 7 })[floor(first / 64)]
  local rest = { byte(self:bytes(more), 1, more) }
  local value = first % 64
  if more < 7 or integers then
    for i = 1, more do
      value = value * 256 + rest[i]
    end
    return value
  end
  local high = ((value * 256 + rest[1]) * 256 + rest[2]) * 256 + rest[3]
  local low = ((rest[4] * 256 + rest[5]) * 256 + rest[6]) * 256 + rest[7]
  if high < 2097152 then
    return high * 4294967296 + low
  end
  return decimal(high, low)
end

-- Adds a field that `read` takes from the reader.
local function add(frame, r, name, kind, read, ...)
  local at = r.at
  local value = read(r, ...)
  table.insert(frame.fields, { name = name, kind = kind, value = value, at = at, len = r.at - at })
  return value
end

local function number(frame, r, name)
  return add(frame, r, name, "number", r.varint)
end

local function small(frame, r, name)
  return add(frame, r, name, "number", r.u8)
end

local function fixed(frame, r, name, count)
  return add(frame, r, name, "bytes", r.bytes, count)
end

-- Bytes with their length in front; the field is the bytes alone.
local function prefixed(frame, r, name, kind)
  local count = r:varint()
  return add(frame, r, name, kind or "bytes", r.bytes, count)
end

local function flag(frame, name, value)
  table.insert(frame.fields, { name = name, kind = "flag", value = value, at = frame.at, len = 1 })
end

local function bit(code, value)
  return floor(code / value) % 2 == 1
end

-- `range_count, first_range, {gap, len}*` below `largest`, as pairs of smallest and largest.
local function ranges(frame, r, largest)
  local function read()
    local count = r:varint()
    local list = { { largest - r:varint(), largest } }
    while count > 0 do
      count = count - 1
      local top = list[#list][1] - r:varint() - 2
      list[#list + 1] = { top - r:varint(), top }
    end
    if list[#list][1] < 0 then
      error("a range below zero", 0)
    end
    return list
  end
  add(frame, r, "ranges", "ranges", read)
end

local function ack(frame, r, ecn)
  local largest = number(frame, r, "largest")
  number(frame, r, "delay")
  ranges(frame, r, largest)
  if ecn then
    number(frame, r, "ect0")
    number(frame, r, "ect1")
    number(frame, r, "ce")
  end
end

local function data(frame, r, with_len)
  if with_len then
    return prefixed(frame, r, "data")
  end
  return fixed(frame, r, "data", r:left())
end

local function stream(frame, r)
  number(frame, r, "sid")
  if bit(frame.code, 4) then
    number(frame, r, "offset")
  else
    table.insert(frame.fields, { name = "offset", kind = "number", value = 0, at = frame.at, len = 1 })
  end
  flag(frame, "fin", bit(frame.code, 1))
  data(frame, r, bit(frame.code, 2))
end

local function msg(frame, r)
  number(frame, r, "sid")
  number(frame, r, "offset")
  flag(frame, "bom", bit(frame.code, 2))
  flag(frame, "eom", bit(frame.code, 4))
  flag(frame, "compressed", bit(frame.code, 8))
  data(frame, r, bit(frame.code, 1))
end

local function address(frame, r)
  number(frame, r, "seq")
  local family = r:u8()
  add(frame, r, "ip", "text", function()
    local bytes = r:bytes(family == 4 and 4 or 16)
    if family == 4 then
      return ("%d.%d.%d.%d"):format(byte(bytes, 1, 4))
    end
    local groups = {}
    for i = 1, 15, 2 do
      local high, low = byte(bytes, i, i + 1)
      groups[#groups + 1] = ("%x"):format(high * 256 + low)
    end
    return table.concat(groups, ":")
  end)
  add(frame, r, "port", "number", r.u16)
end

local function parity(frame, r)
  number(frame, r, "back")
  local span = small(frame, r, "span")
  fixed(frame, r, "mask", floor((span + 7) / 8))
  small(frame, r, "index")
  small(frame, r, "class")
  small(frame, r, "planned")
  prefixed(frame, r, "symbol")
end

local function none() end

-- A list of fields that are all numbers, or single bytes if their name ends in `!`.
local function list(...)
  local names = { ... }
  return function(frame, r)
    for _, name in ipairs(names) do
      if name:sub(-1) == "!" then
        small(frame, r, name:sub(1, -2))
      else
        number(frame, r, name)
      end
    end
  end
end

local known = {
  [0x01] = { "PING", none },
  [0x02] = { "ACK", ack },
  [0x03] = { "ACK_ECN", function(frame, r) ack(frame, r, true) end },
  [0x04] = { "PARAMS", function(frame, r) prefixed(frame, r, "params") end },
  [0x05] = { "HANDSHAKE_DONE", none },
  [0x06] = { "NEW_TOKEN", function(frame, r) prefixed(frame, r, "token") end },
  [0x07] = { "CLOSE", function(frame, r)
    number(frame, r, "error")
    number(frame, r, "frame_type")
    prefixed(frame, r, "reason", "bytes")
  end },
  [0x08] = { "CLOSE_APP", function(frame, r)
    number(frame, r, "error")
    prefixed(frame, r, "reason", "bytes")
  end },
  [0x09] = { "IMMEDIATE_ACK", none },
  [0x0a] = { "ACK_FREQ", list("seq", "eliciting_threshold", "max_ack_delay_us", "reorder_threshold") },
  [0x0b] = { "OBSERVED_ADDR", address },
  [0x0c] = { "PATH_CHALLENGE", function(frame, r) fixed(frame, r, "data", 8) end },
  [0x0d] = { "PATH_RESPONSE", function(frame, r) fixed(frame, r, "data", 8) end },
  [0x0e] = { "NEW_CID", function(frame, r)
    number(frame, r, "seq")
    number(frame, r, "retire_prior_to")
    local length = r:u8()
    fixed(frame, r, "cid", length)
    fixed(frame, r, "reset_token", 16)
  end },
  [0x0f] = { "RETIRE_CID", list("seq") },
  [0x18] = { "RESET_STREAM", list("sid", "code", "final_size", "reliable_size") },
  [0x19] = { "STOP_SENDING", list("sid", "code") },
  [0x1a] = { "SKIP", list("sid", "offset") },
  [0x1b] = { "MAX_DATA", list("limit") },
  [0x1c] = { "MAX_STREAM_DATA", list("sid", "limit") },
  [0x1d] = { "MAX_STREAMS", list("stream_type!", "limit") },
  [0x1e] = { "BLOCKED", list("kind!", "id", "limit") },
  [0x1f] = { "STREAM_PRIORITY", list("sid", "priority!") },
  [0x30] = { "PARITY", parity },
  [0x31] = { "RECOVERED", function(frame, r) ranges(frame, r, number(frame, r, "largest")) end },
}
for code = 0x10, 0x17 do
  known[code] = { "STREAM", stream }
end
for code = 0x20, 0x2f do
  known[code] = { "MSG", msg }
end

local function padding(frame, r)
  local first = r.at
  while r:left() > 0 and byte(r.text, r.at) == 0 do
    r.at = r.at + 1
  end
  table.insert(frame.fields, { name = "len", kind = "number", value = r.at - first + 1, at = first - 1, len = r.at - first + 1 })
end

local function one(r)
  local frame = { at = r.at, fields = {} }
  local fine, fault = pcall(function()
    frame.code = r:varint()
    if frame.code == 0 then
      frame.type = "PADDING"
      return padding(frame, r)
    end
    local entry = known[frame.code]
    if entry then
      frame.type = entry[1]
      return entry[2](frame, r)
    end
    if type(frame.code) == "number" and frame.code < 0x40 then
      error("an unknown type", 0)
    end
    frame.type = "EXTENSION"
    table.insert(frame.fields, { name = "code", kind = "number", value = frame.code, at = frame.at, len = r.at - frame.at })
    prefixed(frame, r, "body")
  end)
  if not fine then
    -- Numbers that do not fit, too, in a Lua without integers.
    frame.type, frame.error, r.at = frame.type or "UNKNOWN", tostring(fault), #r.text + 1
  end
  frame.len = r.at - frame.at
  return frame
end

-- All frames. One that cannot be read is the last, and says why in `error`.
function M.parse(plain)
  local r, out = M.reader(plain), {}
  while r:left() > 0 do
    out[#out + 1] = one(r)
  end
  return out
end

M.PARAMETERS = {
  [0x01] = "max_idle_timeout", [0x02] = "max_udp_payload", [0x03] = "initial_max_data",
  [0x04] = "initial_max_stream_data", [0x05] = "initial_max_streams", [0x06] = "max_ack_delay",
  [0x07] = "max_message_size", [0x08] = "active_cid_limit", [0x09] = "fec_max_symbols", [0x0a] = "fec_schemes",
  [0x0b] = "compression", [0x0c] = "flags", [0x0d] = "min_ack_delay", [0x10] = "app_protocols",
  [0x11] = "version_info", [0x12] = "suites", [0x15] = "reset_token", [0x20] = "client_key_id",
  [0x21] = "client_key", [0x22] = "psk_id", [0x24] = "app_token", [0x30] = "refuse",
}

-- The parameters in the content of PARAMS (specification section 4.10): a list of `id`, `name`, `value`, `at` and `len`.
function M.parameters(body)
  local r, out = M.reader(body), {}
  pcall(function()
    while r:left() > 0 do
      local at = r.at
      local id = r:varint()
      local value = r:bytes(r:varint())
      out[#out + 1] = { id = id, name = M.PARAMETERS[id], value = value, at = at, len = r.at - at }
    end
  end)
  return out
end

local KINDS = { [0] = "bytes", "ordered messages", "unordered messages", "bytes in blocks" }

-- What a stream id says (specification section 4.2).
function M.describe_stream(sid)
  if type(sid) ~= "number" then
    return "?"
  end
  local directions = floor(sid / 2) % 2 == 1 and "one way" or "both ways"
  local opener = sid % 2 == 0 and "client" or "server"
  return ("%d of %s, %s, by the %s"):format(floor(sid / 16), KINDS[floor(sid / 4) % 4], directions, opener)
end

return M
