// What Go calls instead of jsp.h: the same functions, put together so that one crossing from Go to C does the work of
// several, with results by value so that Go need not allocate places for them. No structure that Go passes holds a
// pointer into Go's memory.

#ifndef JSPGO_SHIM_H
#define JSPGO_SHIM_H

#include <jsp.h>
#include <string.h>

typedef struct {
  uint64_t wake_at_ns;
  uint32_t transmits;
  uint32_t events;
  uint32_t more;
  JspError error;
} JspGoTurn;

// Hands over all received datagrams, then takes out transmits and events. Each datagram is passed as a buffer of its
// own, because other parts of `slab` are being written by the reader meanwhile.
static JspGoTurn jspgo_turn(JspEndpoint *endpoint, uint64_t now, uint8_t *slab, const JspDatagram *received,
                            size_t received_len, uint8_t *buffer, size_t buffer_len, JspTransmit *transmits,
                            size_t transmits_capacity, JspEvent *events, size_t events_capacity,
                            uint32_t max_segments) {
  JspGoTurn turn = {0};
  for (size_t i = 0; i < received_len; i++) {
    JspDatagram datagram = received[i];
    uint8_t *bytes = slab + datagram.offset;
    datagram.offset = 0;
    turn.error = jsp_endpoint_receive(endpoint, now, bytes, datagram.len, &datagram, 1);
    // Something about one datagram is wrong, such as its sender's address; the others are none the worse.
    if (turn.error != 0 && turn.error != JSP_ERROR_INVALID_ARGUMENT) return turn;
  }
  JspPoll poll = {0};
  poll.size = sizeof poll;
  poll.max_segments = max_segments;
  poll.buffer = buffer;
  poll.buffer_len = buffer_len;
  poll.transmits = transmits;
  poll.transmits_capacity = transmits_capacity;
  poll.events = events;
  poll.events_capacity = events_capacity;
  turn.error = jsp_endpoint_poll(endpoint, now, &poll);
  turn.wake_at_ns = poll.wake_at_ns;
  turn.transmits = (uint32_t)poll.transmits_len;
  turn.events = (uint32_t)poll.events_len;
  turn.more = poll.more;
  return turn;
}

// An id, or the error why there is none.
typedef struct {
  uint64_t id;
  JspError error;
} JspGoId;

static JspGoId jspgo_connect(JspEndpoint *endpoint, uint64_t now, const JspAddress *remote,
                             const JspClientConfig *client) {
  JspGoId result = {0};
  result.error = jsp_endpoint_connect(endpoint, now, remote, client, &result.id);
  return result;
}

static JspGoId jspgo_open(JspEndpoint *endpoint, uint64_t now, uint64_t connection, JspStreamOptions options) {
  options.size = sizeof options;
  JspGoId result = {0};
  result.error = jsp_stream_open(endpoint, now, connection, &options, &result.id);
  return result;
}

// The number of bytes written, or an error, which is negative.
static int64_t jspgo_send(JspEndpoint *endpoint, uint64_t now, uint64_t connection, uint64_t stream,
                          const uint8_t *data, size_t len) {
  size_t written = 0;
  JspError error = jsp_stream_send(endpoint, now, connection, stream, data, len, &written);
  return error != 0 ? (int64_t)error : (int64_t)written;
}

// The number of bytes read, or an error, which is negative.
static int64_t jspgo_recv(JspEndpoint *endpoint, uint64_t now, uint64_t connection, uint64_t stream, uint8_t *out,
                          size_t capacity) {
  size_t len = 0;
  JspError error = jsp_stream_recv(endpoint, now, connection, stream, out, capacity, &len);
  return error != 0 ? (int64_t)error : (int64_t)len;
}

static JspGoId jspgo_send_message(JspEndpoint *endpoint, uint64_t now, uint64_t connection, uint64_t stream,
                                  const uint8_t *data, size_t len, uint32_t tracked) {
  JspMessageOptions options = {0};
  options.size = sizeof options;
  options.tracked = tracked;
  JspGoId result = {0};
  result.error = jsp_stream_send_message(endpoint, now, connection, stream, data, len, &options, &result.id);
  return result;
}

typedef struct {
  // Messages received.
  uint32_t count;
  // Why there are no more.
  JspError error;
  // With JSP_ERROR_BUFFER_TOO_SMALL: the length of the next one.
  uint64_t needed;
} JspGoMessages;

// Receives as many messages as there are and fit, one after the other into `out`, their lengths into `lens`.
static JspGoMessages jspgo_recv_messages(JspEndpoint *endpoint, uint64_t now, uint64_t connection, uint64_t stream,
                                         uint8_t *out, size_t capacity, uint32_t *lens, uint32_t lens_capacity) {
  JspGoMessages result = {0};
  size_t used = 0;
  while (result.count < lens_capacity) {
    size_t len = 0;
    result.error =
        jsp_stream_recv_message(endpoint, now, connection, stream, out + used, capacity - used, &len);
    if (result.error != 0) {
      result.needed = len;
      return result;
    }
    lens[result.count++] = (uint32_t)len;
    used += len;
  }
  return result;
}

static JspError jspgo_endpoint_stats(JspEndpoint *endpoint, JspEndpointStats *stats) {
  stats->size = sizeof *stats;
  return jsp_endpoint_stats(endpoint, stats);
}

static JspError jspgo_conn_stats(JspEndpoint *endpoint, uint64_t connection, JspConnStats *stats) {
  stats->size = sizeof *stats;
  return jsp_conn_stats(endpoint, connection, stats);
}

static JspError jspgo_conn_info(JspEndpoint *endpoint, uint64_t connection, JspConnInfo *info) {
  info->size = sizeof *info;
  return jsp_conn_info(endpoint, connection, info);
}

// Why a connection ended, as a structure and in words.
static JspError jspgo_close_reason(JspEndpoint *endpoint, uint64_t connection, JspCloseReason *reason, char *text,
                                   size_t capacity) {
  size_t len = 0;
  reason->size = sizeof *reason;
  text[0] = 0;
  JspError error = jsp_conn_close_reason(endpoint, connection, reason);
  return error != 0 ? error : jsp_conn_close_text(endpoint, connection, text, capacity, &len);
}

// 1 if nothing is left to do for any connection, 0 if there is, or an error, which is negative.
static int32_t jspgo_is_idle(JspEndpoint *endpoint) {
  uint32_t idle = 0;
  JspError error = jsp_endpoint_is_idle(endpoint, &idle);
  return error != 0 ? error : (int32_t)idle;
}

#endif
