-- Datagrams and what becomes of them (specification sections 2.4 and 3): headers, key logs, and the memory of connections
-- that is needed to open what follows.
--
-- local packets = require_packets(crypto, frames)
-- local tracker = packets.tracker(packets.key_log(text))
-- local packet = tracker:take("10.0.0.1:4433", "10.0.0.2:4433", bytes)
--
-- Datagrams are given in the order in which they were sent or came in.

return function(crypto, frames)
  local M = {}

  local byte, sub, char = string.byte, string.sub, string.char
  local floor = math.floor
  local VERSION = 0x4a535001
  local SALT = crypto.sha256("JetStreamProto v1 initial salt")
  local NO_KEY = ("\0"):rep(32)
  local MAX_CID = 16
  M.VERSION = VERSION

  -- Key logs ----------------------------------------------------------------------------------------------------------

  local LABELS = { JSP_SERVER_KEY_ID = "key_id", JSP_CLIENT_SECRET_0 = "client", JSP_SERVER_SECRET_0 = "server" }

  -- The secrets of a key log by the client's connection id: tables with `key_ids` (a list), `client` and `server`. Lines
  -- with other labels, and lines that are none, are passed over.
  function M.key_log(text)
    local log = {}
    for line in text:gmatch("[^\r\n]+") do
      local label, id, secret = line:match("^(%S+) (%x+) (%x+)%s*$")
      local what = LABELS[label]
      id, secret = id and crypto.unhex(id), secret and crypto.unhex(secret)
      if what and id and #id <= MAX_CID and secret and #secret == 32 then
        local entry = log[id] or { key_ids = {} }
        log[id] = entry
        if what == "key_id" then
          table.insert(entry.key_ids, secret)
        else
          entry[what] = secret
        end
      end
    end
    return log
  end

  -- Long headers --------------------------------------------------------------------------------------------------------

  local TYPES = { [0] = "CI", "SI", "RETRY", "KEYREQ" }
  local NUMBERS = { CI = 0, SI = 1, RETRY = 2, KEYREQ = 3, KEYINFO = 3 }

  -- Whether a datagram begins as a packet of this protocol: a long header of this version.
  function M.is_long(datagram)
    return #datagram >= 7 and byte(datagram, 1) >= 0xc0 and sub(datagram, 2, 5) == "\74\83\80\1"
  end

  local function negotiation(r, packet)
    packet.type, packet.versions = "VN", {}
    while r:left() >= 4 do
      table.insert(packet.versions, r:u16() * 65536 + r:u16())
    end
    return packet
  end

  -- The header of a long packet. `from_server` decides what a packet of type 3 is.
  function M.long_header(datagram, from_server)
    local packet = { long = true }
    local r = frames.reader(datagram)
    local fine, fault = pcall(function()
      local first = r:u8()
      local version = r:u16() * 65536 + r:u16()
      packet.version = version
      packet.dcid_at, packet.dcid = r.at + 1, r:bytes(r:u8())
      packet.scid_at, packet.scid = r.at + 1, r:bytes(r:u8())
      if version == 0 then
        return negotiation(r, packet)
      elseif version ~= VERSION then
        packet.type = "OTHER_VERSION"
        return
      end
      packet.type = TYPES[floor(first / 16) % 4]
      if packet.type == "KEYREQ" and from_server then
        packet.type = "KEYINFO"
      end
      packet.count, packet.index = floor(first / 4) % 4 + 1, first % 4
      if packet.type == "CI" or packet.type == "KEYREQ" then
        local length = r:varint()
        packet.token_at, packet.token = r.at, r:bytes(length)
      end
      packet.payload_at = r.at
      if #packet.dcid > MAX_CID or #packet.scid > MAX_CID then
        error("a connection id of more than 16 bytes", 0)
      end
    end)
    if not fine then
      packet.error = fault
      packet.type = packet.type or "MALFORMED"
    end
    return packet
  end

  local function from_client(packet)
    return packet.type == "CI" or packet.type == "KEYREQ"
  end

  -- Opens the seal of a long packet; nil if the key id or the connection id is another (specification section 2.4).
  local function unseal(packet, datagram, key_id, dcid)
    local prk = crypto.extract(SALT, key_id .. char(#dcid) .. dcid)
    local label = from_client(packet) and "ci" or "si"
    local context = char(NUMBERS[packet.type]) .. (from_client(packet) and "" or packet.scid)
    local keys = crypto.expand(prk, label, context, 44)
    local nonce = crypto.nonce(sub(keys, 33), packet.index)
    return crypto.open(sub(keys, 1, 32), nonce, sub(datagram, 1, packet.payload_at - 1), sub(datagram, packet.payload_at))
  end

  -- What was under the seal: a fragment of a message, the token of a RETRY, or the padding of a KEYREQ.
  local function opened(packet, plain)
    packet.plain = plain
    if packet.type == "KEYREQ" then
      return
    end
    if packet.type == "RETRY" then
      packet.retry_token = plain
      return
    end
    local r = frames.reader(plain)
    pcall(function()
      local total, offset = r:u16(), r:u16()
      packet.fragment = { total = total, offset = offset, data = r:bytes(r:u16()) }
    end)
  end

  -- Short headers ---------------------------------------------------------------------------------------------------------

  -- The packet number that ends in `truncated` and is nearest to the one after `largest` (RFC 9000 section A.3).
  function M.decode_number(largest, truncated, length)
    local window = 256 ^ length
    local expected = largest + 1
    local candidate = expected - expected % window + truncated
    if candidate + window / 2 <= expected then
      candidate = candidate + window
    elseif candidate > expected + window / 2 and candidate >= window then
      candidate = candidate - window
    end
    return candidate
  end

  local function keys_of(secret)
    return { key = crypto.expand(secret, "key", "", 32), iv = crypto.expand(secret, "iv", "", 12) }
  end

  -- What one side sends: its keys by phase, and what was seen of it.
  local function direction(secret)
    return { hp = crypto.expand(secret, "hp", "", 32), secret = secret, derived = 0, keys = { [0] = keys_of(secret) },
      largest = -1, phase = 0 }
  end

  local function keys_in(sent, phase)
    while sent.derived < phase do
      sent.secret = crypto.expand(sent.secret, "ku", "", 32)
      sent.derived = sent.derived + 1
      sent.keys[sent.derived] = keys_of(sent.secret)
    end
    return sent.keys[phase]
  end

  -- The phases that a packet with this bit may belong to, the likely ones first.
  local function phases(sent, bit)
    if sent.phase % 2 == bit then
      return { sent.phase, sent.phase + 2 }
    end
    return { sent.phase + 1, sent.phase - 1 }
  end

  -- Opens a short packet whose connection id has `cid_len` bytes; nil if it does not open.
  local function open_short(sent, datagram, cid_len)
    local at = 2 + cid_len
    if #datagram < at + 19 then
      return nil
    end
    local mask = { byte(crypto.header_mask(sent.hp, sub(datagram, at + 4, at + 19)), 1, 5) }
    local first = crypto.bxor(byte(datagram, 1), mask[1] % 32) % 256
    local length = first % 4 + 1
    local truncated, header = 0, char(first) .. sub(datagram, 2, at - 1)
    for i = 0, length - 1 do
      local value = crypto.bxor(byte(datagram, at + i), mask[2 + i]) % 256
      truncated, header = truncated * 256 + value, header .. char(value)
    end
    local number = M.decode_number(sent.largest, truncated, length)
    local sealed = sub(datagram, at + length)
    for _, phase in ipairs(phases(sent, floor(first / 4) % 2)) do
      local keys = phase >= 0 and keys_in(sent, phase)
      local plain = keys and crypto.open(keys.key, crypto.nonce(keys.iv, number), header, sealed)
      if plain then
        sent.largest, sent.phase = math.max(sent.largest, number), math.max(sent.phase, phase)
        return { type = "1-RTT", number = number, number_len = length, phase = phase, fec = floor(first / 8) % 2 == 1,
          dcid = sub(datagram, 2, 1 + cid_len), number_at = at, payload_at = at + length, plain = plain,
          frames = frames.parse(plain) }
      end
    end
    return nil
  end

  -- Connections -----------------------------------------------------------------------------------------------------------

  local Tracker = {}
  Tracker.__index = Tracker

  -- Remembers connections by the client's id, by every id that packets are sent to, and by their addresses.
  function M.tracker(log)
    local tracker = setmetatable({ log = log, clients = {}, ids = {}, flows = {} }, Tracker)
    for id in pairs(log) do
      tracker:connection(id)
    end
    return tracker
  end

  function Tracker:connection(id)
    local connection = self.clients[id]
    if not connection then
      connection = { id = id, dcids = {}, to = {}, sent = {} }
      self.clients[id] = connection
      self:know(connection, "client", id)
      local secrets = self.log[id] or {}
      for _, side in ipairs({ "client", "server" }) do
        connection.sent[side] = secrets[side] and direction(secrets[side])
      end
    end
    return connection
  end

  -- Packets to this id are for this side of the connection.
  function Tracker:know(connection, side, id)
    self.ids[id] = { connection = connection, receiver = side }
    connection.to[side] = #id
  end

  function Tracker:flow(from, to, connection, sender)
    self.flows[from .. " " .. to] = { connection = connection, sender = sender }
  end

  function Tracker:unseal_any(connection, packet, datagram, dcids)
    local secrets = self.log[connection.id]
    local key_ids = { NO_KEY }
    for _, id in ipairs(secrets and secrets.key_ids or {}) do
      table.insert(key_ids, id)
    end
    for at = #dcids, 1, -1 do
      for _, key_id in ipairs(key_ids) do
        local plain = #datagram >= packet.payload_at + 16 and unseal(packet, datagram, key_id, dcids[at])
        if plain then
          return opened(packet, plain)
        end
      end
    end
  end

  function Tracker:take_long(from, to, datagram)
    local dcid = sub(datagram, 7, 6 + (byte(datagram, 6) or 0))
    local backwards = self.flows[from .. " " .. to]
    local ours = self.clients[dcid]
    local packet = M.long_header(datagram, ours ~= nil or (backwards and backwards.sender == "server"))
    if packet.error or not packet.payload_at then
      return packet
    end
    if from_client(packet) then
      local connection = self:connection(packet.scid)
      packet.sender, packet.connection = "client", connection.id
      self:flow(from, to, connection, "client")
      self:flow(to, from, connection, "server")
      if connection.dcids[#connection.dcids] ~= packet.dcid then
        table.insert(connection.dcids, packet.dcid)
      end
      self:unseal_any(connection, packet, datagram, { packet.dcid })
    elseif ours then
      packet.sender, packet.connection = "server", ours.id
      self:unseal_any(ours, packet, datagram, ours.dcids)
      if packet.type == "SI" then
        self:know(ours, "server", packet.scid)
        self:flow(from, to, ours, "server")
        self:flow(to, from, ours, "client")
      end
    else
      packet.sender = "server"
    end
    return packet
  end

  -- Where a short packet may belong, best guess first: the connection, its sender, and the length of the id.
  function Tracker:guesses(from, to, datagram)
    local out = {}
    for length = MAX_CID, 1, -1 do
      local known = #datagram > length and self.ids[sub(datagram, 2, 1 + length)]
      if known then
        local sender = known.receiver == "client" and "server" or "client"
        out[#out + 1] = { known.connection, sender, length }
      end
    end
    local flow = self.flows[from .. " " .. to]
    if flow then
      local length = flow.connection.to[flow.sender == "client" and "server" or "client"]
      -- A recording that begins late does not tell how long the server's ids are.
      for _, guess in ipairs(length and { length } or { 8, 10, 11, 12, 13, 14, 15, 16, 0 }) do
        out[#out + 1] = { flow.connection, flow.sender, guess }
      end
    end
    return out
  end

  -- Whether a short packet is sent to an id that is known.
  function Tracker:names(datagram)
    for length = 8, MAX_CID do
      if self.ids[sub(datagram, 2, 1 + length)] then
        return true
      end
    end
    return false
  end

  -- New ids for packets to the sender of these frames.
  function Tracker:learn(connection, sender, list)
    for _, frame in ipairs(list) do
      if frame.type == "NEW_CID" and not frame.error then
        self:know(connection, sender, frame.fields[3].value)
      end
    end
  end

  function Tracker:take_short(from, to, datagram)
    local named
    for _, guess in ipairs(self:guesses(from, to, datagram)) do
      local connection, sender, length = guess[1], guess[2], guess[3]
      local packet = connection.sent[sender] and open_short(connection.sent[sender], datagram, length)
      if packet then
        packet.sender, packet.connection = sender, connection.id
        self:flow(from, to, connection, sender)
        local reverse = sender == "client" and "server" or "client"
        self:flow(to, from, connection, reverse)
        self:know(connection, reverse, packet.dcid)
        self:learn(connection, sender, packet.frames)
        return packet
      end
      named = named or { type = "1-RTT", sender = sender, connection = connection.id, dcid = sub(datagram, 2, 1 + length) }
    end
    return named or { type = "SHORT" }
  end

  -- Takes the next datagram. `packet.type` is the name of its packet, SHORT if it belongs to nobody known. What was opened
  -- has `plain`.
  function Tracker:take(from, to, datagram)
    local first = byte(datagram, 1)
    if not first then
      return { type = "EMPTY" }
    elseif first >= 128 then
      return self:take_long(from, to, datagram)
    end
    return self:take_short(from, to, datagram)
  end

  return M
end
