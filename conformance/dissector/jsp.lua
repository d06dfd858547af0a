-- JetStreamProto in Wireshark and tshark.
--
--   wireshark -X lua_script:conformance/dissector/jsp.lua -o jsp.keylog:keys.log session.pcap
--
-- or put the folder into Wireshark's folder of personal plugins. Headers are shown of every packet; with a key log
-- (conformance/spec/keylog.md), frames as well. Connections are recognised by the version in their first packet; for
-- recordings that begin later there is "Decode as". After the key log has grown, reload the recording.

local dir = (debug.getinfo(1, "S").source:gsub("^@", ""):match("^(.*[/\\])")) or ""
local crypto = dofile(dir .. "crypto.lua")
local frames = dofile(dir .. "frames.lua")
local packets = dofile(dir .. "packets.lua")(crypto, frames)

local jsp = Proto("jsp", "JetStreamProto")
jsp.prefs.keylog = Pref.string("Key log file", "", "Secrets of the connections, as the endpoints export them")

-- Fields ------------------------------------------------------------------------------------------------------------------

local fields = {}

local function field(name, kind, title)
  local abbreviation = "jsp." .. name
  fields[name] = ProtoField[kind](abbreviation, title or name:match("[^.]*$"):gsub("_", " "))
end

local LISTS = {
  string = { "type", "sender", "connection", "frame", "error", "versions" },
  bytes = { "dcid", "scid", "token", "retry_token", "payload", "fragment.data", "parameter.value" },
  uint64 = { "number", "parameter.id" },
  uint32 = { "version", "count", "index", "phase", "fragment.total", "fragment.offset" },
  bool = { "fec" },
}
for kind, names in pairs(LISTS) do
  for _, name in ipairs(names) do
    field(name, kind)
  end
end

-- What frames have, by kind, as frames.lua names it.
local OF_FRAMES = {
  padding = { number = { "len" } },
  ack = { number = { "largest", "delay" }, ranges = { "ranges" } },
  ack_ecn = { number = { "largest", "delay", "ect0", "ect1", "ce" }, ranges = { "ranges" } },
  params = { bytes = { "params" } },
  new_token = { bytes = { "token" } },
  close = { number = { "error", "frame_type" }, bytes = { "reason" } },
  close_app = { number = { "error" }, bytes = { "reason" } },
  ack_freq = { number = { "seq", "eliciting_threshold", "max_ack_delay_us", "reorder_threshold" } },
  observed_addr = { number = { "seq", "port" }, text = { "ip" } },
  path_challenge = { bytes = { "data" } },
  path_response = { bytes = { "data" } },
  new_cid = { number = { "seq", "retire_prior_to" }, bytes = { "cid", "reset_token" } },
  retire_cid = { number = { "seq" } },
  stream = { number = { "sid", "offset" }, flag = { "fin" }, bytes = { "data" } },
  reset_stream = { number = { "sid", "code", "final_size", "reliable_size" } },
  stop_sending = { number = { "sid", "code" } },
  skip = { number = { "sid", "offset" } },
  max_data = { number = { "limit" } },
  max_stream_data = { number = { "sid", "limit" } },
  max_streams = { number = { "stream_type", "limit" } },
  blocked = { number = { "kind", "id", "limit" } },
  stream_priority = { number = { "sid", "priority" } },
  msg = { number = { "sid", "offset" }, flag = { "bom", "eom", "compressed" }, bytes = { "data" } },
  parity = { number = { "back", "span", "index", "class", "planned" }, bytes = { "mask", "symbol" } },
  recovered = { number = { "largest" }, ranges = { "ranges" } },
  extension = { number = { "code" }, bytes = { "body" } },
}
local KINDS = { number = "uint64", bytes = "bytes", text = "string", flag = "bool", ranges = "string" }
for frame, kinds in pairs(OF_FRAMES) do
  for kind, names in pairs(kinds) do
    for _, name in ipairs(names) do
      field(frame .. "." .. name, KINDS[kind])
    end
  end
end

local list = {}
for _, one in pairs(fields) do
  list[#list + 1] = one
end
jsp.fields = list

local malformed = ProtoExpert.new("jsp.malformed", "Malformed", expert.group.MALFORMED, expert.severity.ERROR)
jsp.experts = { malformed }

-- State -------------------------------------------------------------------------------------------------------------------

-- The connections seen, and what became of each datagram: packets are shown in any order, but opened in theirs.
local tracker, taken

local function start()
  local text = ""
  if jsp.prefs.keylog ~= "" then
    local file, reason = io.open(jsp.prefs.keylog, "rb")
    if file then
      text = file:read("*a")
      file:close()
    else
      report_failure("JSP: the key log cannot be read: " .. tostring(reason))
    end
  end
  tracker, taken = packets.tracker(packets.key_log(text)), {}
end

jsp.init = start
jsp.prefs_changed = start
start()

local function take(tvb, pinfo)
  local packet = taken[pinfo.number]
  if not packet then
    local from = tostring(pinfo.src) .. ":" .. pinfo.src_port
    local to = tostring(pinfo.dst) .. ":" .. pinfo.dst_port
    packet = tracker:take(from, to, tvb:raw(0, tvb:len()))
    taken[pinfo.number] = packet
  end
  return packet
end

-- The tree ----------------------------------------------------------------------------------------------------------------

local function number64(value)
  if type(value) == "string" then
    return UInt64.new(value)
  end
  local low = value % 4294967296
  return UInt64.new(low, (value - low) / 4294967296)
end

local function pairs_text(ranges)
  local out = {}
  for i, range in ipairs(ranges) do
    out[i] = range[1] == range[2] and ("%.0f"):format(range[1]) or ("%.0f-%.0f"):format(range[1], range[2])
  end
  return table.concat(out, " ")
end

local function add_field(tree, tvb, name, one)
  local known = fields[name]
  if not known or one.len == 0 then
    return
  end
  local range = tvb(one.at - 1, one.len)
  if one.kind == "bytes" then
    tree:add(known, range)
  elseif one.kind == "number" then
    tree:add(known, range, number64(one.value))
  elseif one.kind == "ranges" then
    tree:add(known, range, pairs_text(one.value))
  else
    tree:add(known, range, one.value)
  end
end

local function add_parameters(tree, tvb, body)
  for _, parameter in ipairs(frames.parameters(body.value)) do
    local range = tvb(body.at + parameter.at - 2, parameter.len)
    local branch = tree:add(fields["parameter.id"], range, number64(parameter.id))
    branch:append_text(" (" .. (parameter.name or "unknown") .. ")")
    if #parameter.value > 0 then
      branch:add(fields["parameter.value"], range(parameter.len - #parameter.value, #parameter.value))
    end
  end
end

local function add_frame(tree, tvb, frame)
  local range = tvb(frame.at - 1, frame.len)
  local branch = tree:add(fields.frame, range, frame.type)
  local prefix = frame.type:lower() .. "."
  for _, one in ipairs(frame.fields) do
    add_field(branch, tvb, prefix .. one.name, one)
    if one.name == "sid" then
      branch:append_text((" %s (%s)"):format(one.value, frames.describe_stream(one.value)))
    elseif frame.type == "PARAMS" then
      add_parameters(branch, tvb, one)
    end
  end
  if frame.error then
    branch:add_proto_expert_info(malformed, frame.error)
  end
end

local function add_bytes(tree, tvb, name, at, value)
  if value and #value > 0 then
    tree:add(fields[name], tvb(at - 1, #value))
  end
end

local function add_long(tree, tvb, packet)
  tree:add(fields.version, tvb(1, 4), packet.version)
  add_bytes(tree, tvb, "dcid", packet.dcid_at, packet.dcid)
  add_bytes(tree, tvb, "scid", packet.scid_at, packet.scid)
  if packet.count then
    tree:add(fields.count, tvb(0, 1), packet.count)
    tree:add(fields.index, tvb(0, 1), packet.index)
  end
  add_bytes(tree, tvb, "token", packet.token_at, packet.token)
  for _, version in ipairs(packet.versions or {}) do
    tree:add(fields.versions, ("0x%08x"):format(version))
  end
  if not packet.plain or #packet.plain == 0 then
    return
  end
  local opened = ByteArray.new(packet.plain, true):tvb("Opened JSP packet")
  local fragment = packet.fragment
  if packet.retry_token then
    tree:add(fields.retry_token, opened(0, opened:len()))
  elseif fragment then
    tree:add(fields["fragment.total"], opened(0, 2), fragment.total)
    tree:add(fields["fragment.offset"], opened(2, 2), fragment.offset)
    add_bytes(tree, opened, "fragment.data", 7, fragment.data)
  end
end

local function add_short(tree, tvb, packet)
  add_bytes(tree, tvb, "dcid", 2, packet.dcid)
  if not packet.plain then
    return tree:append_text(", sealed")
  end
  tree:add(fields.number, tvb(packet.number_at - 1, packet.number_len), number64(packet.number))
  tree:add(fields.phase, tvb(0, 1), packet.phase)
  tree:add(fields.fec, tvb(0, 1), packet.fec)
  if #packet.plain > 0 then
    local opened = ByteArray.new(packet.plain, true):tvb("Opened JSP packet")
    for _, frame in ipairs(packet.frames) do
      add_frame(tree, opened, frame)
    end
  end
end

local function summary(packet)
  local out = { packet.type }
  if packet.sender then
    out[#out + 1] = "of the " .. packet.sender
  end
  if packet.number then
    out[#out + 1] = ("%.0f, phase %d:"):format(packet.number, packet.phase)
    for _, frame in ipairs(packet.frames) do
      out[#out + 1] = frame.type
    end
  elseif packet.count then
    out[#out + 1] = ("%d of %d"):format(packet.index + 1, packet.count)
  end
  return table.concat(out, " ")
end

local function show(packet, tvb, pinfo, root)
  pinfo.cols.protocol = "JSP"
  pinfo.cols.info = summary(packet)
  local tree = root:add(jsp, tvb(), "JetStreamProto, " .. summary(packet))
  tree:add(fields.type, tvb(0, 1), packet.type)
  if packet.sender then
    tree:add(fields.sender, packet.sender):set_generated()
  end
  if packet.connection then
    tree:add(fields.connection, crypto.hex(packet.connection)):set_generated()
  end
  if packet.error then
    tree:add_proto_expert_info(malformed, packet.error)
  elseif packet.long then
    add_long(tree, tvb, packet)
  else
    add_short(tree, tvb, packet)
  end
end

function jsp.dissector(tvb, pinfo, root)
  if tvb:len() == 0 then
    return 0
  end
  show(take(tvb, pinfo), tvb, pinfo, root)
  return tvb:len()
end

-- A connection is known by the first packets of its handshake. One that has moved to other addresses is known by its ids.
local function recognise(tvb, pinfo, root)
  if tvb:len() < 21 then
    return false
  end
  local datagram = tvb:raw(0, tvb:len())
  if not packets.is_long(datagram) then
    if datagram:byte(1) >= 128 or not tracker:names(datagram) or not take(tvb, pinfo).plain then
      return false
    end
  end
  pinfo.conversation = jsp
  jsp.dissector(tvb, pinfo, root)
  return true
end

jsp:register_heuristic("udp", recognise)
DissectorTable.get("udp.port"):add_for_decode_as(jsp)
