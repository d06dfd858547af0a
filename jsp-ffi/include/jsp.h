// Generated from the sources of jsp-ffi by its test `header`. Do not edit.
//
// JetStreamProto (JSP) for C, and for every language that can call C.
//
// Two interfaces, one header (`include/jsp.h`, generated from this crate and committed):
//
// * **Polling.** `JspEndpoint` is the protocol's state machine and nothing else. It takes datagrams and the time, and
//   gives datagrams and events. It calls nothing back, starts no thread, opens no socket, keeps no global state, and no
//   function blocks. For programs with an event loop, and for the bindings of other languages.
// * **Blocking.** `JspConnection` and `JspListener` bring their own socket and one thread for it. For
//   programs that want ten lines.
//
// # Rules
//
// * Every function returns a `JspError`, 0 if it worked, or says in its description what else it returns.
// * A handle belongs to the program until it gives it to the function named `..._free`. Freeing `NULL` does nothing.
// * A `JspEndpoint` is used by one thread at a time, whichever; a second one gets `JSP_ERROR_BUSY`. Blocking
//   handles may be used by any number of threads at once.
// * Memory given to a function is read or written during the call only.
// * Structures that begin with `size` are filled with zeros by the program, which then sets `size` to the `sizeof` of
//   the structure. Zero is every other field's default. Larger structures of later versions stay compatible.
// * A buffer that is too small is `JSP_ERROR_BUFFER_TOO_SMALL`: the length that is needed is reported and nothing is
//   consumed.
// * Ids carry a generation. One that outlived what it stood for is an error, never a stranger.
// * A defect in this library is `JSP_ERROR_PANIC`, and every later call on that handle `JSP_ERROR_POISONED`.

#ifndef JSP_H
#define JSP_H

#include <stddef.h>
#include <stdint.h>

// No address.
#define JSP_FAMILY_NONE 0

// IPv4.
#define JSP_FAMILY_IPV4 4

// IPv6.
#define JSP_FAMILY_IPV6 6

// Bytes that hold any address as text, with the zero byte at its end.
#define JSP_ADDRESS_TEXT 64

// As the profile says, which is `JSP_KEEP_ALIVE_OFF` without one.
#define JSP_KEEP_ALIVE_DEFAULT 0

// A connection without traffic ends after the idle timeout.
#define JSP_KEEP_ALIVE_OFF 1

// A PING after each `keep_alive_interval_ns` of silence, or half the idle timeout if that is less; up to a fifth sooner,
// together with other datagrams.
#define JSP_KEEP_ALIVE_EVERY 2

// A PING as seldom as the path allows, which is found out: after 25 to 115 s of silence.
#define JSP_KEEP_ALIVE_ADAPTIVE 3

// The program is in use.
#define JSP_APP_FOREGROUND 0

// The program runs unseen: keepalive half as often, no search for larger datagrams, no `JSP_FEC_AUTO` on streams without
// a setting of their own.
#define JSP_APP_BACKGROUND 1

// The device sleeps: no keepalive. The connection lives on as long as the idle timeout allows.
#define JSP_APP_SLEEP 2

// The server shows its public key to clients that know its key id; to others it stays silent.
#define JSP_KEY_FETCH_KNOWN_FINGERPRINT 0

// The server shows its key to nobody: clients must hold it.
#define JSP_KEY_FETCH_OFF 1

// The server shows its key to everybody, as trust on first use needs.
#define JSP_KEY_FETCH_OPEN 2

// Handshakes take one round trip while few clients of unproven addresses press; otherwise as `JSP_RETRY_ALWAYS`.
#define JSP_RETRY_ADAPTIVE 0

// Each new client proves its address first: one more round trip, no state for those who cannot.
#define JSP_RETRY_ALWAYS 1

// Handshakes take one round trip; bounds on half-open connections protect the server.
#define JSP_RETRY_NEVER 2

// Everybody that may authenticate is accepted.
#define JSP_ACCEPT_AUTO 0

// The program is asked: `JSP_EVENT_INCOMING`.
#define JSP_ACCEPT_ASK 1

// A client may prove a key of its own, or stay anonymous. One that offers to prove something is let in by a program that
// is asked (`JSP_ACCEPT_ASK`) and gives the key to `jsp_incoming_accept`; otherwise it is refused.
#define JSP_CLIENT_AUTH_OPTIONAL 0

// A client must prove a key of its own or a pre-shared key. Needs `JSP_ACCEPT_ASK`.
#define JSP_CLIENT_AUTH_REQUIRED 1

// Public-key work runs inside the calls.
#define JSP_KEM_INLINE 0

// A server's public-key work is handed out: `jsp_endpoint_take_job`.
#define JSP_KEM_HANDED_OUT 1

// A model of the path, which tells loss from congestion.
#define JSP_CONGESTION_BBR 0

// CUBIC: every loss counts as congestion.
#define JSP_CONGESTION_CUBIC 1

// Nobody was named: only servers on the loopback address can be reached.
#define JSP_TRUST_LOOPBACK_ONLY 0

// The server with exactly `public_key`.
#define JSP_TRUST_PINNED 1

// A server whose key has one of `key_ids`.
#define JSP_TRUST_KEY_IDS 2

// The program decides: `JSP_EVENT_SERVER_KEY_OFFERED`.
#define JSP_TRUST_ASK 3

// Any key. Whoever is on the path can read and change everything.
#define JSP_TRUST_DANGER_ACCEPT_ANY 4

// Bytes of the reason that a peer may give for closing.
#define JSP_REASON_LEN 128

// Bytes of the seed that a secret key is made of.
#define JSP_SEED_LEN 32

// Bytes of a public key.
#define JSP_PUBLIC_KEY_LEN 1216

// Bytes of a key id as text, `jsp1-` and 52 letters and digits, with the zero byte at its end.
#define JSP_KEY_ID_TEXT 58

// The number of this library's binary interface; a header with another one does not fit: `jsp_abi_check`.
#define JSP_ABI_VERSION 1

// Bytes of the longest server id in connection ids.
#define JSP_SERVER_ID_LEN 7

// As the connection does; for a connection as the profile says.
#define JSP_SWITCH_DEFAULT 0

// Yes.
#define JSP_SWITCH_ON 1

// No.
#define JSP_SWITCH_OFF 2

// Streams do as the connection, connections as the profile says, which is `JSP_COMPRESSION_OFF` without one.
#define JSP_COMPRESSION_DEFAULT 0

// Data is sent as it is.
#define JSP_COMPRESSION_OFF 1

// Messages, and streams of bytes in blocks of up to 16 KiB, are sent as LZ4 blocks where that pays and the peer takes
// them (`accept_compressed`). A stream of bytes must be opened with it.
//
// Encryption does not hide lengths. Never compress data in which a secret stands beside text that an attacker chooses:
// from the lengths of many such messages the secret can be guessed.
#define JSP_COMPRESSION_ADAPTIVE 2

// The same, and what is compressed is padded to a multiple of 64 bytes, so that its length tells less.
#define JSP_COMPRESSION_ADAPTIVE_PADDED 3

// Streams do as the connection, connections as the profile says, which is `JSP_FEC_OFF` without one.
#define JSP_FEC_DEFAULT 0

// No parity. What is lost is sent again, or not at all.
#define JSP_FEC_OFF 1

// As much parity as the loss that is measured asks for, and none on a clean path.
#define JSP_FEC_AUTO 2

// Always so many parity packets for so many packets.
#define JSP_FEC_ON 3

// For `fec_max_symbols`: packets of peers are not repaired, and peers send no parity.
#define JSP_FEC_NO_SYMBOLS 4294967295

// As configured.
#define JSP_NETWORK_UNKNOWN 0

// Clean and not metered: neither correction nor compression.
#define JSP_NETWORK_ETHERNET 1

// Lossy and not metered: `JSP_FEC_AUTO`, no compression.
#define JSP_NETWORK_WIFI 2

// Lossy and metered: `JSP_FEC_AUTO` and `JSP_COMPRESSION_ADAPTIVE`.
#define JSP_NETWORK_CELLULAR 3

// The defaults that stand at the fields.
#define JSP_PROFILE_DEFAULT 0

// For phones and other devices on networks that lose packets, change and are metered: `JSP_FEC_AUTO` with an overhead of
// up to 100 %, `JSP_COMPRESSION_ADAPTIVE` in both directions, `JSP_KEEP_ALIVE_ADAPTIVE`, an idle timeout of 15 minutes.
#define JSP_PROFILE_MOBILE 1

// For games, calls and control, where a late message is worth nothing: `JSP_FEC_AUTO` with an overhead of up to 100 %,
// acknowledgements within 10 ms, best-effort messages that wait to be sent for 50 ms at most.
#define JSP_PROFILE_LOW_LATENCY 2

// For large transfers, where only the rate counts: receive windows that start at 4 MiB and grow to 64 MiB per connection
// and 32 MiB per stream, send buffers of 64 MiB and 32 MiB.
#define JSP_PROFILE_BULK 3

// Client: the server showed its key: `jsp_conn_offered_key`, then `jsp_conn_trust_key` or `jsp_conn_reject_key`.
#define JSP_EVENT_SERVER_KEY_OFFERED 1

// Client: somebody says that the server holds another key. Not proven; the attempt goes on.
#define JSP_EVENT_PEER_KEY_SUSPECT 2

// Server: data may be written to a client that has not proven itself yet.
#define JSP_EVENT_EARLY_WRITABLE 3

// The connection carries data in both directions.
#define JSP_EVENT_CONNECTED 4

// Server: the client has proven its identity key or the pre-shared key.
#define JSP_EVENT_PEER_AUTHENTICATED 5

// Both sides know that the handshake is complete.
#define JSP_EVENT_HANDSHAKE_CONFIRMED 6

// The peer opened `stream`.
#define JSP_EVENT_STREAM_OPENED 7

// `stream` has something to read: data, a message, its end or a reset. Given once until everything was read.
#define JSP_EVENT_STREAM_READABLE 8

// `stream` was blocked and takes data again.
#define JSP_EVENT_STREAM_WRITABLE 9

// Everything written to the finished `stream` has been acknowledged.
#define JSP_EVENT_STREAM_FINISHED 10

// The peer gave up sending on `stream`, with `code`. The end of the stream is told with it: if nothing of what arrived
// before is left to read, reading is `JSP_ERROR_NO_STREAM` from the poll on that gave this event.
#define JSP_EVENT_STREAM_RESET 11

// The peer does not want what this side sends on `stream`; `code` is its code.
#define JSP_EVENT_STREAM_STOPPED 12

// What became of the tracked message with the number `code` on `stream`: `detail` is `JSP_OUTCOME_...`.
#define JSP_EVENT_MESSAGE_OUTCOME 13

// After `JSP_ERROR_STREAM_LIMIT`: streams of the type in `detail` may be opened again. The type is the low four bits
// of such streams' ids.
#define JSP_EVENT_STREAMS_AVAILABLE 14

// The connection is over. A poll that gives this event gives none after it: ask `jsp_conn_close_reason` before the next
// poll, which forgets the connection unless something that arrived is still to be read. What is can be read until the
// connection is discarded.
#define JSP_EVENT_CLOSED 15

// Server with `JSP_ACCEPT_ASK`: a client, whose id is in `connection`, waits five seconds for `jsp_incoming_accept`,
// `jsp_incoming_refuse` or `jsp_incoming_ignore`. Its id is none of a connection.
#define JSP_EVENT_INCOMING 16

// Nothing that was sent has been acknowledged for three probe timeouts in a row: the path is probably gone. The
// connection goes on trying until its idle timeout, and tells again only after something got through.
#define JSP_EVENT_PATH_SUSPECT 17

// The peer says at which address it sees this side, for the first time or a new one: `jsp_conn_observed_address`.
#define JSP_EVENT_ADDRESS_OBSERVED 18

// The connection goes over another path now, and this path has proven to work: `jsp_conn_info` has the peer's address. A
// server's peer has moved, or a client has: `jsp_endpoint_rebind`, `jsp_conn_migrate`.
#define JSP_EVENT_PATH_CHANGED 19

// The peer has the whole message.
#define JSP_OUTCOME_ACKED 0

// Given up after a part was sent; it may still have arrived.
#define JSP_OUTCOME_LOST 1

// Its time ran out before it could arrive.
#define JSP_OUTCOME_EXPIRED 2

// `wake_at_ns`: only when a datagram comes in or the program does something.
#define JSP_NEVER UINT64_MAX

// Bytes of `token_key`, `token_secret` and `reset_key`.
#define JSP_KEY_LEN 32

// Room for reasons of drops. `jsp_drop_reason_name` tells which there are.
#define JSP_DROP_REASONS 32

// A stream of bytes, reliable and ordered.
#define JSP_STREAM_BYTES 0

// A stream of messages, delivered in the order in which they were sent.
#define JSP_STREAM_ORDERED_MESSAGES 1

// A stream of messages, each delivered as soon as it is complete.
#define JSP_STREAM_UNORDERED_MESSAGES 2

// A connection with a socket and a thread of its own, whose calls block. Any number of threads may use it at once; only
// `jsp_connection_free` must be the last call.
typedef struct JspConnection JspConnection;

// The state machine of one UDP socket: any number of connections, as client, server or both. Owns no socket, reads no
// clock, starts no thread; no call blocks. Used by one thread at a time.
//
// Time is a count of nanoseconds, `now_ns`, from an origin that the program chooses, such as a monotonic clock. It may
// repeat or go back; then the latest one counts.
typedef struct JspEndpoint JspEndpoint;

// A piece of public-key work of a handshake, about 0.2 ms. May be run on any thread.
typedef struct JspJob JspJob;

// A server with a socket and a thread of its own, whose calls block. Any number of threads may use it at once; only
// `jsp_listener_free` must be the last call.
typedef struct JspListener JspListener;

// 0 if a function did what it was asked, a negative number if not: one of `JSP_ERROR_...`.
typedef int32_t JspError;

// An IP address and a UDP port. `jsp_socket.h` converts from and to `struct sockaddr`.
typedef struct JspAddress {
  // `JSP_FAMILY_IPV4`, `JSP_FAMILY_IPV6`, or `JSP_FAMILY_NONE` where the address is not known.
  uint8_t family;
  // Zero.
  uint8_t reserved;
  // The port, in the machine's byte order.
  uint16_t port;
  // The interface of a link-local IPv6 address; otherwise 0.
  uint32_t scope_id;
  // The address in network byte order: 4 bytes of it for IPv4, 16 for IPv6.
  uint8_t ip[16];
} JspAddress;

// Some bytes of the program. `data` may be `NULL` if `len` is 0.
typedef struct JspBytes {
  // The first byte.
  const uint8_t *data;
  // How many there are.
  size_t len;
} JspBytes;

// The settings of one outgoing connection. All zeros, with `size` set, reaches servers on the loopback address.
typedef struct JspClientConfig {
  // `sizeof(JspClientConfig)`.
  uint32_t size;
  // `JSP_TRUST_...`.
  uint32_t trust;
  // The server's public key, `JSP_PUBLIC_KEY_LEN` bytes, for `JSP_TRUST_PINNED`.
  const uint8_t *public_key;
  // Texts that end with a zero byte, for `JSP_TRUST_KEY_IDS`: 1 to 4.
  const char *const *key_ids;
  // How many.
  size_t key_ids_len;
  // The seed of the client's own key, `JSP_SEED_LEN` bytes; `NULL`: anonymous.
  const uint8_t *identity_seed;
  // Not 0: send the whole identity key, for servers that do not know it.
  uint32_t identity_inline;
  // Zero.
  uint32_t reserved;
  // A pre-shared key, 32 random bytes, never a password; `NULL`: none.
  const uint8_t *psk;
  // Tells the server which: at most 64 bytes.
  struct JspBytes psk_id;
  // For the server's application to decide, at most 512 bytes. Can be replayed by who recorded it.
  struct JspBytes app_token;
  // Application protocols, best first; none: `jsp`.
  const struct JspBytes *protocols;
  // How many.
  size_t protocols_len;
  // How long to try; 0: as the endpoint.
  uint64_t handshake_timeout_ns;
} JspClientConfig;

// How a message is delivered.
typedef uint32_t JspDeliveryMode;

// One connection in numbers. What is not known yet is 0.
typedef struct JspConnStats {
  // `sizeof(JspConnStats)`.
  uint32_t size;
  // Probe timeouts since the peer last acknowledged something. Above 2 or 3 the path is probably gone.
  uint32_t probe_timeouts_in_row;
  // Smoothed round-trip time.
  uint64_t rtt_ns;
  // The last sample of it.
  uint64_t latest_rtt_ns;
  // The smallest sample of the last minutes.
  uint64_t min_rtt_ns;
  // How much samples differ on average.
  uint64_t rtt_variation_ns;
  // Bytes that may be in flight.
  uint64_t congestion_window;
  // Bytes per second over which packets are spread.
  uint64_t pacing_rate;
  // Bytes sent and neither acknowledged nor lost.
  uint64_t bytes_in_flight;
  // Datagrams sent.
  uint64_t datagrams_sent;
  // Their bytes.
  uint64_t bytes_sent;
  // Datagrams that authenticated.
  uint64_t datagrams_received;
  // Their bytes.
  uint64_t bytes_received;
  // Datagrams of this connection that were dropped.
  uint64_t datagrams_dropped;
  // Packets sent after the handshake.
  uint64_t packets_sent;
  // Of these, declared lost.
  uint64_t packets_lost;
  // Of these, arrived after all.
  uint64_t packets_lost_spuriously;
  // Bytes of stream data written into packets again.
  uint64_t bytes_retransmitted;
  // Probe timeouts.
  uint64_t probe_timeouts;
  // Received packets with a mark of congestion.
  uint64_t ce_received;
  // How long the handshake took.
  uint64_t handshake_time_ns;
  // Streams there are now, of both sides.
  uint64_t streams_open;
  // Bytes accepted for sending and not settled.
  uint64_t send_buffered;
  // Bytes that the peer still lets this side send.
  uint64_t send_credit;
  // Bytes of memory for received data.
  uint64_t receive_memory;
  // The largest datagram sent on the path.
  uint32_t datagram_size;
  // 1 if the path carries marks of congestion (ECN).
  uint32_t ecn_capable;
  // Messages, and blocks of streams of bytes, on which compression was tried.
  uint64_t compressions_tried;
  // Of these, sent compressed.
  uint64_t messages_compressed;
  // Bytes of what was compressed before.
  uint64_t bytes_before_compression;
  // Bytes of what was compressed after.
  uint64_t bytes_after_compression;
  // Packets sent under the protection of parity.
  uint64_t fec_sources_sent;
  // Parity packets sent.
  uint64_t fec_parity_sent;
  // Bytes of UDP payload in them.
  uint64_t fec_parity_bytes_sent;
  // Packets sent that the peer has repaired.
  uint64_t fec_repaired_by_peer;
  // Protected packets that were lost and not repaired, or not in time.
  uint64_t fec_unrepaired;
  // Protected packets received.
  uint64_t fec_sources_received;
  // Parity packets received.
  uint64_t fec_parity_received;
  // Of these, of no use: nothing was missing, or too much.
  uint64_t fec_parity_unused;
  // Packets of the peer that were repaired.
  uint64_t fec_repaired;
  // Repairs that were possible and not made, because there were too many at once.
  uint64_t fec_repairs_refused;
  // Repaired packets that made no sense.
  uint64_t fec_malformed;
  // The loss that `JSP_FEC_AUTO` counts on, in millionths of the packets sent.
  uint32_t fec_loss_ppm;
  // Packets per block, as the latest was begun; 0 while nothing is protected.
  uint32_t fec_block_sources;
  // Parity packets per block.
  uint32_t fec_block_parity;
  // Blocks that packets are dealt to in turn, against losses in bursts.
  uint32_t fec_interleaving;
  // Times that a rate limit began to hold back credit for the peer.
  uint64_t credit_delays;
  // Times that a reader was told to wait for a message that was there, because of a rate limit.
  uint64_t message_delays;
  // Datagrams of padding sent to find out whether the path carries larger ones.
  uint64_t mtu_probes_sent;
  // How often datagrams became small again because larger ones did not get through any more.
  uint64_t mtu_black_holes;
  // PINGs sent to keep the connection alive.
  uint64_t keep_alive_pings;
  // Changes of the path, back and forth included.
  uint64_t path_changes;
  // Packets of the peer from elsewhere that this side did not follow, because it moves too often.
  uint64_t path_switches_refused;
  // Key updates of both sides that the peer has taken part in.
  uint64_t key_updates;
  // The key phase, counted from 0: one more than `key_updates` while the peer is still to follow an update.
  uint64_t key_phase;
} JspConnStats;

// The settings of an endpoint. All zeros, with `size` set, is a client with the defaults; with `server_seed` it is a
// server too. Durations are nanoseconds, sizes bytes.
typedef struct JspConfig {
  // `sizeof(JspConfig)`.
  uint32_t size;
  // `JSP_KEY_FETCH_...`.
  uint32_t key_fetch;
  // `JSP_RETRY_...`.
  uint32_t retry;
  // `JSP_ACCEPT_...`.
  uint32_t accept;
  // `JSP_CLIENT_AUTH_...`.
  uint32_t client_auth;
  // `JSP_KEM_...`.
  uint32_t kem;
  // The seed of the server's secret key, `JSP_SEED_LEN` bytes; `NULL`: no server.
  const uint8_t *server_seed;
  // Application protocols that the server speaks, best first; none: `jsp`.
  const struct JspBytes *protocols;
  // How many.
  size_t protocols_len;
  // Silence after which a connection is over; the smaller of both sides' counts. Default 30 s.
  uint64_t idle_timeout_ns;
  // How long a client tries to connect. Default 10 s.
  uint64_t handshake_timeout_ns;
  // How long a close waits for a peer that takes nothing more, before it gives up and the connection ends with
  // `JSP_ERROR_UNDELIVERED`. Default 10 s.
  uint64_t linger_ns;
  // The largest datagram that is ever sent or received. Default 1472.
  uint32_t max_udp_payload;
  // The size with which datagrams begin. Default 1200.
  uint32_t initial_mtu;
  // Round-trip time assumed before the first measurement. Default 200 ms.
  uint64_t initial_rtt_ns;
  // How long an acknowledgement may wait for others. Default 25 ms.
  uint64_t max_ack_delay_ns;
  // Bytes that a peer may send at first before the program reads, on a connection. Default 1 MiB. Set both windows
  // or none.
  uint64_t receive_window;
  // The same for one stream. Default 256 KiB.
  uint64_t stream_receive_window;
  // To where the windows may grow on fast connections. Set both or none.
  uint64_t max_receive_window;
  // The same for one stream.
  uint64_t max_stream_receive_window;
  // Bytes accepted for sending and not acknowledged, on a connection. Set both or none.
  uint64_t send_buffer;
  // The same for one stream.
  uint64_t stream_send_buffer;
  // Streams of each type that the peer may have open: at least 4. Default 100.
  uint64_t max_streams;
  // The largest message that is accepted. Default 65536.
  uint64_t max_message_size;
  // How long a best-effort message may wait to be sent. Default 100 ms.
  uint64_t max_queue_age_ns;
  // Seconds of Unix time at `now_ns` 0, for the age of tokens. Servers set it.
  uint64_t unix_time_at_origin;
  // The key of address tokens, 32 bytes, shared by servers on one address; `NULL`: a random one, a new one each day.
  const uint8_t *token_key;
  // The key of stateless resets, 32 bytes, kept over restarts; `NULL`: a random one.
  const uint8_t *reset_key;
  // `JSP_CONGESTION_...`: what decides how fast connections send.
  uint32_t congestion;
  // Zero.
  uint32_t reserved;
  // Not 0: send this many bytes of datagrams per second, whatever is lost, in place of `congestion`, which must be 0.
  // For private links that carry nothing else: anywhere else it takes the path from all others and may bring it to a
  // standstill.
  uint64_t fixed_rate_without_congestion_control;
  // `JSP_PROFILE_...`: what fields stand for that are 0. The defaults that are written here are those without one.
  uint32_t profile;
  // `JSP_SWITCH_...`: whether peers may send compressed data. It is expanded when it is read: at most 255 bytes come
  // of each byte received, so a peer can make the reader do that much more work. Default no.
  uint32_t accept_compressed;
  // `JSP_COMPRESSION_...` of what this side sends on streams that have none of their own. Default off.
  uint32_t compression;
  // `JSP_FEC_...`: error correction of what this side sends on streams that have none of their own. Default off.
  uint32_t fec;
  // For `JSP_FEC_ON`: packets per block, 1 to 64. Otherwise 0.
  uint32_t fec_sources;
  // For `JSP_FEC_ON`: parity packets per block, 1 to 32. Otherwise 0.
  uint32_t fec_parity;
  // The most parity that `JSP_FEC_AUTO` adds, in percent of what it protects, up to 400. Default 50.
  uint32_t fec_max_overhead;
  // Packets of peers that are kept to repair others from, up to 256, or `JSP_FEC_NO_SYMBOLS`. Default 128.
  uint32_t fec_max_symbols;
  // The share of packets that `JSP_FEC_AUTO` leaves unrepaired if it can, 1e-6 to 0.5. Default 5e-4.
  double fec_target;
  // How long the first packet of a block may wait for its parity, 1 ms to 1 s. Default 20 ms.
  uint64_t fec_max_delay_ns;
  // Not 0: each peer is held to that many bytes of stream data per second on a connection, 1000 to 2^40. Its credit
  // waits; nothing is lost of what is reliable. Default no limit.
  uint64_t rate_limit_bytes;
  // The same at once, up to 2^40; a smaller number than `receive_window` counts as that. At least what the connection
  // carries in a round trip, or the rate is not reached.
  uint64_t rate_limit_bytes_burst;
  // Not 0: of each connection at most that many messages can be received per second, up to 1,000,000. Others wait
  // unread, and the peer's credit with them. Default no limit.
  uint32_t rate_limit_messages;
  // The same at once, up to 1,000,000.
  uint32_t rate_limit_messages_burst;
  // `JSP_KEEP_ALIVE_...`: whether connections without traffic are kept alive. Default off.
  uint32_t keep_alive;
  // `JSP_SWITCH_...`: whether to look for the largest datagram that a path carries, up to `max_udp_payload`. Needs a
  // socket that does not let the system fragment. Default yes.
  uint32_t mtu_discovery;
  // For `JSP_KEEP_ALIVE_EVERY`: after how much silence, at least 1 s. Otherwise 0.
  uint64_t keep_alive_interval_ns;
  // Packets after which a connection changes its keys, 16 to 2^40; the smaller number of both sides counts. Default
  // 2^22.
  uint64_t key_update_packets;
  // Age at which a connection changes its keys, 3 s to 24 h, when the next packet is sent. Default 10 minutes.
  uint64_t key_update_age_ns;
  // `JSP_SWITCH_...`: whether clients may move their connections to another network. Without, they are told, and only
  // a new port of the same host is followed, as a NAT gives it. Default yes.
  uint32_t allow_migration;
  // `JSP_SWITCH_...`: whether to send now and then what every peer must ignore, so that nobody comes to rely on its
  // absence. Off only to compare bytes. Default yes.
  uint32_t grease;
  // The id of this server that load balancers read in connection ids (QUIC-LB in clear). Servers that share a
  // `reset_key` must have different ones.
  uint8_t load_balancing_server_id[JSP_SERVER_ID_LEN];
  // Bytes of it that are in use, 1 to `JSP_SERVER_ID_LEN`; 0: connection ids say nothing to strangers.
  uint8_t load_balancing_server_id_len;
  // The configuration of the load balancers, 0 to 6.
  uint32_t load_balancing_rotation;
  // `JSP_SWITCH_...`: whether the server gives each client that has proven its address a token, with which its next
  // connection needs no further proof. Default yes.
  uint32_t new_tokens;
  // The secret from which the keys of address tokens are derived, 32 bytes, for servers behind one address that must
  // accept each other's tokens; all of them set `unix_time_at_origin`. `token_key` wins over it. `NULL`: a random one.
  const uint8_t *token_secret;
  // How long a derived key is used, at least 1 minute; for as long again its tokens are accepted. Default 24 h.
  uint64_t token_rotation_ns;
  // How long a token for a later connection is good for, 1 s to 30 days. Default 24 h.
  uint64_t token_lifetime_ns;
} JspConfig;

// What a connection is.
typedef struct JspConnInfo {
  // `sizeof(JspConnInfo)`.
  uint32_t size;
  // 1 if this side accepted it, 0 if it connected.
  uint32_t is_server;
  // 1 from `JSP_EVENT_CONNECTED` on.
  uint32_t is_connected;
  // 1 from `JSP_EVENT_CLOSED` on.
  uint32_t is_closed;
  // The peer's address.
  struct JspAddress remote;
  // The id of the key that the peer has proven to hold, with a zero byte at its end; empty if none.
  char peer_key_id[JSP_KEY_ID_TEXT];
  // Zero.
  uint8_t reserved[6];
  // The largest message that the peer accepts.
  uint64_t max_message_size;
} JspConnInfo;

// Why a connection ended.
typedef struct JspCloseReason {
  // `sizeof(JspCloseReason)`.
  uint32_t size;
  // One of the errors from `JSP_ERROR_LOCALLY_CLOSED` on.
  JspError error;
  // The application's code for `..._CLOSED`, `..._UNDELIVERED` and `..._REFUSED`, the protocol's for `..._PEER_ERROR` and
  // `..._PROTOCOL`, otherwise 0.
  uint64_t code;
  // For `JSP_ERROR_IDLE_TIMEOUT`, `JSP_ERROR_NO_ANSWER` and `JSP_ERROR_UNDELIVERED`: the time that passed.
  uint64_t after_ns;
  // Bytes of `reason`.
  uint32_t reason_len;
  // What the peer gave as a reason, as it came.
  uint8_t reason[JSP_REASON_LEN];
  // For `JSP_ERROR_KEY_MISMATCH`: the trusted key's id, with a zero byte at its end.
  char expected_key_id[JSP_KEY_ID_TEXT];
  // For `JSP_ERROR_KEY_MISMATCH`: the id of the key that answered. Not proven: whoever is on the path could have
  // sent it.
  char found_key_id[JSP_KEY_ID_TEXT];
} JspCloseReason;

// A received datagram, or several of one size: bytes `offset` to `offset + len` of a buffer.
typedef struct JspDatagram {
  // Where it begins in the buffer.
  size_t offset;
  // Its bytes.
  size_t len;
  // Bytes of each datagram where the system joined several (GRO); only the last may be shorter. 0: one datagram.
  size_t stride;
  // Where it came from.
  struct JspAddress remote;
  // The address it was sent to, where the program knows it; otherwise `JSP_FAMILY_NONE`.
  struct JspAddress local;
  // The ECN bits of the IP header, 0 to 3; 0 where the program does not know them.
  uint8_t ecn;
  // Zero.
  uint8_t reserved[7];
} JspDatagram;

// A datagram to send, or several of one size: bytes `offset` to `offset + len` of the buffer.
typedef struct JspTransmit {
  // Where it begins in the buffer.
  size_t offset;
  // Its bytes.
  size_t len;
  // Bytes of each datagram; only the last may be shorter. Equal to `len` for one datagram.
  size_t segment;
  // Where to.
  struct JspAddress remote;
  // From which address, where the program told; otherwise `JSP_FAMILY_NONE`.
  struct JspAddress local;
  // The ECN bits for the IP header, 0 to 3.
  uint8_t ecn;
  // Zero.
  uint8_t reserved[7];
} JspTransmit;

// Something that happened.
typedef struct JspEvent {
  // `JSP_EVENT_...`. Later versions may add kinds: ignore what you do not know.
  uint32_t kind;
  // What the kind says about it; otherwise 0.
  uint32_t detail;
  // On which connection, or the id of a client that asks to be let in.
  uint64_t connection;
  // On which stream, if it is about one.
  uint64_t stream;
  // What the kind says about it; otherwise 0.
  uint64_t code;
} JspEvent;

// Room for what an endpoint gives out. The program sets all fields above `transmits_len`, the library the others.
typedef struct JspPoll {
  // `sizeof(JspPoll)`.
  uint32_t size;
  // The most datagrams in one transmit, as the system's segmentation offload takes them; 0 or 1: one.
  uint32_t max_segments;
  // Room for datagrams: at least the `max_udp_payload` of the endpoint. 64 KiB is a good size.
  uint8_t *buffer;
  // Its bytes.
  size_t buffer_len;
  // Room for transmits.
  struct JspTransmit *transmits;
  // How many.
  size_t transmits_capacity;
  // Room for events.
  struct JspEvent *events;
  // How many.
  size_t events_capacity;
  // Set: how many transmits there are.
  size_t transmits_len;
  // Set: how many events there are.
  size_t events_len;
  // Set: when to poll again if nothing happens before, or `JSP_NEVER`. In the past if `more`.
  uint64_t wake_at_ns;
  // Set: not 0 if there may be more: handle the events and poll again, at once.
  uint32_t more;
  // Zero.
  uint32_t reserved;
} JspPoll;

// What a client that asks to be let in tells. It is encrypted to the server's key but proves nothing yet: a recorded
// first message can be replayed. Decide without side effects, and act when the connection is there.
typedef struct JspIncoming {
  // `sizeof(JspIncoming)`.
  uint32_t size;
  // 1 if the client has proven that it receives at its address.
  uint32_t is_validated;
  // The client's address.
  struct JspAddress remote;
  // 1 if the client offers to prove an identity key: `jsp_incoming_key_id`.
  uint32_t has_key_id;
  // 1 if the client sent that key: `jsp_incoming_key`.
  uint32_t has_key;
  // Bytes of the id of the pre-shared key that the client offers to prove; 0: none. `jsp_incoming_psk_id`.
  uint32_t psk_id_len;
  // Bytes of what its application sent. `jsp_incoming_app_token`.
  uint32_t app_token_len;
} JspIncoming;

// How to accept a client.
typedef struct JspAccept {
  // `sizeof(JspAccept)`.
  uint32_t size;
  // Zero.
  uint32_t reserved;
  // The client's identity key, `JSP_PUBLIC_KEY_LEN` bytes, which it then has to prove; `NULL`: none.
  const uint8_t *client_key;
  // The pre-shared key, 32 bytes, that the client's id stands for; `NULL`: none.
  const uint8_t *psk;
  // The application protocol, one of those that the client offers; empty: the first configured one.
  struct JspBytes protocol;
} JspAccept;

// What an endpoint has done so far. Counters only grow.
typedef struct JspEndpointStats {
  // `sizeof(JspEndpointStats)`.
  uint32_t size;
  // Connections there are now.
  uint32_t connections;
  // Datagrams given to `jsp_endpoint_receive`.
  uint64_t datagrams_received;
  // Their bytes.
  uint64_t bytes_received;
  // Datagrams that `jsp_endpoint_poll` gave out.
  uint64_t datagrams_sent;
  // Their bytes.
  uint64_t bytes_sent;
  // Connections that both sides confirmed.
  uint64_t connections_confirmed;
  // Connections that ended.
  uint64_t connections_closed;
  // Handshakes whose public-key work was begun.
  uint64_t handshakes_started;
  // Clients refused.
  uint64_t handshakes_refused;
  // Clients asked to prove their address.
  uint64_t retries_sent;
  // Answers with the server's key.
  uint64_t key_infos_sent;
  // Datagrams dropped for any reason.
  uint64_t dropped_total;
  // Datagrams dropped, by reason.
  uint64_t dropped[JSP_DROP_REASONS];
  // Seals that were opened, or tried, for addresses without a valid token.
  uint64_t seal_openings;
  // Peers told that their connection is lost.
  uint64_t resets_sent;
  // Connections that ended because their peer said so.
  uint64_t resets_received;
  // Clients of another version told which one is spoken here.
  uint64_t version_negotiations_sent;
  // Address tokens for later connections that were given to clients.
  uint64_t tokens_issued;
  // Attempts that began with a token that proved the client's address.
  uint64_t tokens_accepted;
  // Datagrams with a token that proved nothing: expired, used, of another address or key, or made up.
  uint64_t tokens_rejected;
} JspEndpointStats;

// What kind of stream to open. All zeros, with `size` set, is a bidirectional stream of bytes of priority 128, compressed
// and corrected as the connection says.
typedef struct JspStreamOptions {
  // `sizeof(JspStreamOptions)`.
  uint32_t size;
  // `JSP_STREAM_...`. The ids of streams carry it in bits 2 and 3; there 3 is a stream of bytes opened with
  // compression.
  uint32_t kind;
  // Not 0: only this side sends. Bit 1 of the ids.
  uint32_t uni;
  // How its messages are delivered unless one says otherwise. Streams of bytes are reliable.
  JspDeliveryMode mode;
  // For `JSP_DELIVERY_MODE_PARTIALLY_RELIABLE`: how long a message is worth sending, from the call that took it.
  uint64_t ttl_ns;
  // Not 0: `priority` counts.
  uint32_t has_priority;
  // 0 to 255, higher is more urgent; 128 without `has_priority`.
  uint32_t priority;
  // `JSP_COMPRESSION_...` of what this side sends.
  uint32_t compression;
  // `JSP_FEC_...`: error correction of what this side sends.
  uint32_t fec;
  // For `JSP_FEC_ON`: packets per block, 1 to 64. Otherwise 0.
  uint32_t fec_sources;
  // For `JSP_FEC_ON`: parity packets per block, 1 to 32. Otherwise 0.
  uint32_t fec_parity;
} JspStreamOptions;

// How one message is sent.
typedef struct JspMessageOptions {
  // `sizeof(JspMessageOptions)`.
  uint32_t size;
  // Not 0: `mode` and `ttl_ns` count instead of the stream's.
  uint32_t has_mode;
  // `JSP_DELIVERY_MODE_...`.
  JspDeliveryMode mode;
  // Not 0: exactly one `JSP_EVENT_MESSAGE_OUTCOME` reports what became of it. At most 1024 such messages may be under
  // way; beyond that sending is `JSP_ERROR_WOULD_BLOCK`.
  uint32_t tracked;
  // For `JSP_DELIVERY_MODE_PARTIALLY_RELIABLE`: how long the message is worth sending.
  uint64_t ttl_ns;
} JspMessageOptions;

// It worked.
#define JSP_ERROR_OK 0

// A pointer is `NULL` that must not be.
#define JSP_ERROR_NULL -1

// An argument is out of its bounds; the function's description has them.
#define JSP_ERROR_INVALID_ARGUMENT -2

// The `size` of a structure is none that this library knows, or a field it does not know is not zero.
#define JSP_ERROR_STRUCT_SIZE -3

// The buffer is too small. The length that is needed was reported; nothing was consumed.
#define JSP_ERROR_BUFFER_TOO_SMALL -4

// Nothing there yet, or no room yet: an event follows when that changes.
#define JSP_ERROR_WOULD_BLOCK -5

// No connection has this id: it is over and was read empty, or it never was.
#define JSP_ERROR_NO_CONNECTION -6

// No stream has this id: it is over, or it never was.
#define JSP_ERROR_NO_STREAM -7

// Bytes for a stream of messages or the reverse, or the wrong direction of a one-way stream.
#define JSP_ERROR_WRONG_KIND -8

// The connection is closed, or so is the handle.
#define JSP_ERROR_CLOSED -9

// This side has finished the stream already.
#define JSP_ERROR_FINISHED -10

// The stream was reset. If the peer did it, `JSP_EVENT_STREAM_RESET` has its code.
#define JSP_ERROR_RESET -11

// The peer wants no more of this stream (`JSP_EVENT_STREAM_STOPPED` has its code), or this side stopped it.
#define JSP_ERROR_STOPPED -12

// The peer has finished the stream and everything was read.
#define JSP_ERROR_END -13

// A message must have at least one byte.
#define JSP_ERROR_EMPTY_MESSAGE -14

// The message is larger than the peer accepts.
#define JSP_ERROR_MESSAGE_TOO_LARGE -15

// Only streams of messages can be other than reliable.
#define JSP_ERROR_MODE_NEEDS_MESSAGES -16

// The peer allows no more streams of this type now. `JSP_EVENT_STREAMS_AVAILABLE` follows.
#define JSP_ERROR_STREAM_LIMIT -17

// The bytes are no usable public key.
#define JSP_ERROR_INVALID_KEY -18

// The text is no key id: `jsp1-` and 52 letters and digits.
#define JSP_ERROR_INVALID_KEY_ID -19

// No key is trusted for a server that is not on the loopback address: pin its key or its key id.
#define JSP_ERROR_TRUST_REQUIRED -20

// The endpoint is shutting down.
#define JSP_ERROR_SHUTTING_DOWN -21

// The endpoint has as many connections as its bounds allow.
#define JSP_ERROR_TOO_MANY_CONNECTIONS -22

// Identity key, token and protocols together do not fit the first message.
#define JSP_ERROR_TOO_LARGE -23

// The client has given up, or the five seconds for a decision are over.
#define JSP_ERROR_INCOMING_GONE -24

// The connection is not established yet.
#define JSP_ERROR_NOT_CONNECTED -25

// A defect in this library; the handle is of no more use. Please report what was printed.
#define JSP_ERROR_PANIC -26

// The handle is of no more use since an earlier call returned `JSP_ERROR_PANIC`. Free it.
#define JSP_ERROR_POISONED -27

// Another thread uses the handle at this moment.
#define JSP_ERROR_BUSY -28

// The header belongs to another version of the binary interface than the library.
#define JSP_ERROR_ABI -29

// The operating system refused: a socket or randomness.
#define JSP_ERROR_SYSTEM -30

// The time given to the call is up. The connection goes on.
#define JSP_ERROR_TIMEOUT -31

// The address cannot be read or stands for nothing.
#define JSP_ERROR_ADDRESS -32

// A call at the wrong time: connecting twice, or a handshake without an address.
#define JSP_ERROR_WRONG_STATE -33

// Messages had to be discarded because nobody received them. Reported once; the rest can be received.
#define JSP_ERROR_DISCARDED -34

// Only the client of a connection moves it.
#define JSP_ERROR_NOT_A_CLIENT -35

// The server does not allow connections to move.
#define JSP_ERROR_MIGRATION_FORBIDDEN -36

// The server has given no connection id for another path yet: try again after a round trip.
#define JSP_ERROR_NO_CONNECTION_ID -37

// Not before `JSP_EVENT_HANDSHAKE_CONFIRMED`.
#define JSP_ERROR_NOT_CONFIRMED -38

// The key update before is not complete: the peer has not followed it yet, or did so less than three probe timeouts or
// 3 s ago.
#define JSP_ERROR_KEY_UPDATE_PENDING -39

// The connection ended: this side closed it.
#define JSP_ERROR_LOCALLY_CLOSED -64

// The connection ended: the peer's application closed it.
#define JSP_ERROR_PEER_CLOSED -65

// The connection ended: the peer's protocol implementation objects to something.
#define JSP_ERROR_PEER_ERROR -66

// The connection ended: the peer broke the protocol.
#define JSP_ERROR_PROTOCOL -67

// The connection ended: nothing was heard from the peer for the idle timeout.
#define JSP_ERROR_IDLE_TIMEOUT -68

// No answer to the handshake: nothing is there, UDP is blocked, or the server holds another key and stays silent.
#define JSP_ERROR_NO_ANSWER -69

// The server holds another key than the one that is trusted.
#define JSP_ERROR_KEY_MISMATCH -70

// The application rejected the key that the server offered.
#define JSP_ERROR_KEY_REJECTED -71

// The server refused the connection.
#define JSP_ERROR_REFUSED -72

// The server speaks no protocol version that this library knows.
#define JSP_ERROR_VERSION -73

// Nobody drives the endpoint any more: its socket failed.
#define JSP_ERROR_ENDPOINT_GONE -74

// The connection ended: the peer has lost it, most likely because its program was restarted.
#define JSP_ERROR_PEER_RESET -75

// The connection ended: this side closed it, and the peer took nothing more for the time of `linger_ns`, or the program
// aborted a close that was still delivering. Not everything was delivered.
#define JSP_ERROR_UNDELIVERED -76

// Sent again until it arrives.
#define JSP_DELIVERY_MODE_RELIABLE 0

// Sent once.
#define JSP_DELIVERY_MODE_BEST_EFFORT 1

// Sent, and sent again, as long as it can still arrive within its time.
#define JSP_DELIVERY_MODE_PARTIALLY_RELIABLE 2

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Reads an address such as `127.0.0.1:4433` or `[::1]:4433`. Looks nothing up.
//
// Errors: `JSP_ERROR_ADDRESS` if it is none.
//
// Pointers:
// `address` ends with a zero byte; `out` may be written.
JspError jsp_address_parse(const char *address, struct JspAddress *out);

// Writes an address as text into `out`, which has `JSP_ADDRESS_TEXT` bytes, with a zero byte at its end.
//
// Errors: `JSP_ERROR_INVALID_ARGUMENT` if there is no address in it.
//
// Pointers:
// `address` may be read and `out` written.
JspError jsp_address_format(const struct JspAddress *address,
                            char *out);

// Tells what the device does, `JSP_APP_...`. When it wakes up from `JSP_APP_SLEEP` a PING goes out at once.
//
// Errors: `JSP_ERROR_INVALID_ARGUMENT` for another number; `JSP_ERROR_NO_CONNECTION`.
//
// Pointers:
// `endpoint` is a handle that was not freed.
JspError jsp_conn_set_app_state(struct JspEndpoint *endpoint,
                                uint64_t now_ns,
                                uint64_t connection,
                                uint32_t state);

// The address at which the peer sees this side, after `JSP_EVENT_ADDRESS_OBSERVED`; no address (family 0) before. Only
// `JSP_KEEP_ALIVE_ADAPTIVE` asks the peer for it.
//
// Errors: `JSP_ERROR_NO_CONNECTION`.
//
// Pointers:
// `endpoint` is a handle that was not freed; `out` may be written to.
JspError jsp_conn_observed_address(struct JspEndpoint *endpoint,
                                   uint64_t now_ns,
                                   uint64_t connection,
                                   struct JspAddress *out);

// Makes a connection that is not connected yet; the program's to free with `jsp_connection_free`. Next:
// `jsp_connection_connect`.
struct JspConnection *jsp_connection_new(void);

// Pins the server's key by its id, `jsp1-` and 52 letters and digits. Before `jsp_connection_handshake`; the address
// may carry it too.
//
// Errors: `JSP_ERROR_INVALID_KEY_ID`, `JSP_ERROR_WRONG_STATE`.
//
// Pointers:
// `key_id` ends with a zero byte.
JspError jsp_connection_pin(struct JspConnection *connection,
                            const char *key_id);

// Sets everything about the outgoing connection: trust, an identity, a pre-shared key, a token. Before
// `jsp_connection_handshake`.
//
// Errors: as `jsp_endpoint_connect`; `JSP_ERROR_WRONG_STATE`.
//
// Pointers:
// `client` and what it points to may be read.
JspError jsp_connection_configure(struct JspConnection *connection,
                                  const struct JspClientConfig *client);

// Resolves `HOST:PORT`, or `HOST:PORT#jsp1-...` with the server's key id, and binds a socket. Without a pinned key only
// servers on the loopback address can be reached. Next: `jsp_connection_handshake`.
//
// Errors: `JSP_ERROR_ADDRESS`, `JSP_ERROR_INVALID_KEY_ID`, `JSP_ERROR_SYSTEM`, `JSP_ERROR_WRONG_STATE`.
//
// Pointers:
// `address` ends with a zero byte.
JspError jsp_connection_connect(struct JspConnection *connection,
                                const char *address);

// Connects, and blocks until that is done: at most about 10 s, or the `handshake_timeout_ns` of
// `jsp_connection_set_config`.
//
// Errors: why it failed, from `JSP_ERROR_NO_ANSWER`, `JSP_ERROR_KEY_MISMATCH`, `JSP_ERROR_REFUSED`,
// `JSP_ERROR_TRUST_REQUIRED` and others; `JSP_ERROR_WRONG_STATE` without `jsp_connection_connect`. After a failure the
// handle can only be freed.
//
// Pointers:
// `connection` is a handle that was not freed.
JspError jsp_connection_handshake(struct JspConnection *connection);

// A number that both sides of a connection know and nobody else: the first 8 bytes, big endian, of the exported key
// with the label `session id` and no context. 0 without a connection.
//
// Pointers:
// `connection` is `NULL` or a handle that was not freed.
uint64_t jsp_connection_session_id(const struct JspConnection *connection);

// A stream of messages with a priority, 0 to 255, higher is more urgent, and a mode. `*stream` is its number.
//
// There is one such stream for each priority and mode: opening it again gives the same number and costs nothing, and
// there is nothing to close. `JSP_DELIVERY_MODE_RELIABLE` keeps the order of its messages; in the other modes each
// message is delivered when it is there.
//
// Errors: `JSP_ERROR_INVALID_ARGUMENT`, `JSP_ERROR_NOT_CONNECTED`, and why the connection is over.
//
// Pointers:
// `stream` may be written.
JspError jsp_connection_open_stream(struct JspConnection *connection,
                                    uint8_t priority,
                                    JspDeliveryMode mode,
                                    uint32_t *stream);

// For how long messages of `JSP_DELIVERY_MODE_PARTIALLY_RELIABLE` are worth sending, from the call that sends them:
// 1 s unless set. 0 is not allowed.
//
// Errors: `JSP_ERROR_INVALID_ARGUMENT`.
//
// Pointers:
// `connection` is a handle that was not freed.
JspError jsp_connection_set_ttl(struct JspConnection *connection,
                                uint32_t ttl_ms);

// Sends a message on a stream of `jsp_connection_open_stream`, or on one that a message came from. Blocks while there
// is no room. What was sent is on its way even if the program does nothing more.
//
// Errors: `JSP_ERROR_EMPTY_MESSAGE`, `JSP_ERROR_MESSAGE_TOO_LARGE`, `JSP_ERROR_NO_STREAM`, `JSP_ERROR_STOPPED`,
// `JSP_ERROR_NOT_CONNECTED`, and why the connection is over.
//
// Pointers:
// `data` may be read for `len` bytes.
JspError jsp_connection_send(struct JspConnection *connection,
                             uint32_t stream,
                             const uint8_t *data,
                             size_t len);

// Receives the next message of any stream. `*stream`, unless `NULL`, is the number of the stream it came from: an answer
// goes there. Blocks for at most `timeout_ms`; a negative number: for as long as it takes. Bytes of a peer's stream of
// bytes come in pieces.
//
// Up to 1024 messages or 1 MiB wait for the program; then the peer is held back. A program that never receives holds
// nobody back: what it does not want is discarded, and if it does receive later, `JSP_ERROR_DISCARDED` says so once.
//
// Errors: `JSP_ERROR_TIMEOUT`; `JSP_ERROR_BUFFER_TOO_SMALL`, with the length in `*len` and the message still there;
// `JSP_ERROR_DISCARDED`; `JSP_ERROR_NOT_CONNECTED`; why the connection is over, after everything was received.
//
// Pointers:
// `stream` is `NULL` or may be written, `out` may be written for `capacity` bytes, and `len`.
JspError jsp_connection_recv(struct JspConnection *connection,
                             uint32_t *stream,
                             uint8_t *out,
                             size_t capacity,
                             size_t *len,
                             int64_t timeout_ms);

// Delivers everything that was sent, closes the connection, and blocks until that is done or the peer has taken nothing
// more for 10 s. Messages that are there can still be received. Closing again gives the same answer.
//
// Errors: `JSP_ERROR_UNDELIVERED` if the peer did not take everything; why the connection was over otherwise, so that
// something may not have been delivered; `JSP_ERROR_NOT_CONNECTED`.
//
// Pointers:
// `connection` is a handle that was not freed.
JspError jsp_connection_close(struct JspConnection *connection);

// Why the connection is over, in words for people, with a zero byte at the end; 640 bytes are always enough.
//
// Errors: `JSP_ERROR_WRONG_STATE` if it is not over; `JSP_ERROR_BUFFER_TOO_SMALL`, with the length in `*len`;
// `JSP_ERROR_NOT_CONNECTED`.
//
// Pointers:
// `out` may be written for `capacity` bytes, and `len`.
JspError jsp_connection_close_text(struct JspConnection *connection,
                                   char *out,
                                   size_t capacity,
                                   size_t *len);

// The id of the key that the peer has proven to hold, with a zero byte at its end, into `out` (`JSP_KEY_ID_TEXT`
// bytes).
//
// Errors: `JSP_ERROR_WRONG_STATE` if it has proven none; `JSP_ERROR_NOT_CONNECTED`.
//
// Pointers:
// `out` may be written.
JspError jsp_connection_peer_key_id(const struct JspConnection *connection,
                                    char *out);

// The connection in numbers.
//
// Errors: `JSP_ERROR_NOT_CONNECTED`, `JSP_ERROR_CLOSED`.
//
// Pointers:
// `stats` may be written for as many bytes as its `size` says.
JspError jsp_connection_stats(const struct JspConnection *connection, struct JspConnStats *stats);

// Frees a connection; `NULL` does nothing. One that was not closed is closed in the background, and delivers what was
// sent as long as the process lives.
//
// Pointers:
// `connection` is `NULL` or a handle that was not freed, and no other call uses it.
void jsp_connection_free(struct JspConnection *connection);

// Binds `HOST:PORT` (port 0: the system chooses) and serves clients there. `seed`, `JSP_SEED_LEN` bytes that nobody else
// may know, makes the server's key and so its key id, which clients pin; `NULL`: a new key. `*listener` is the program's
// to free with `jsp_listener_free`.
//
// Errors: `JSP_ERROR_ADDRESS`, `JSP_ERROR_SYSTEM`.
//
// Pointers:
// `address` ends with a zero byte, `seed` is `NULL` or may be read, `listener` may be written.
JspError jsp_listener_new(const char *address,
                          const uint8_t *seed,
                          struct JspListener **listener);

// The address it is bound to, as text with a zero byte at its end, into `out` (`JSP_ADDRESS_TEXT` bytes).
//
// Pointers:
// `out` may be written.
JspError jsp_listener_address(const struct JspListener *listener,
                              char *out);

// The id of its key, which clients pin, with a zero byte at its end, into `out` (`JSP_KEY_ID_TEXT` bytes).
//
// Pointers:
// `out` may be written.
JspError jsp_listener_key_id(const struct JspListener *listener,
                             char *out);

// The next client's connection, the program's to free with `jsp_connection_free`. Blocks for at most `timeout_ms`; a
// negative number: for as long as it takes.
//
// Errors: `JSP_ERROR_TIMEOUT`; `JSP_ERROR_CLOSED` after `jsp_listener_close`.
//
// Pointers:
// `connection` may be written.
JspError jsp_listener_accept(struct JspListener *listener,
                             int64_t timeout_ms,
                             struct JspConnection **connection);

// Takes no more clients, delivers everything that was sent on its connections, closes them, and blocks until that is
// done: at most about 15 s. Its address is free when every connection is freed, too.
//
// Errors: `JSP_ERROR_TIMEOUT`; `JSP_ERROR_CLOSED` if it is closed already.
//
// Pointers:
// `listener` is a handle that was not freed.
JspError jsp_listener_close(struct JspListener *listener);

// Frees a listener; `NULL` does nothing. Takes no more clients; connections that were accepted go on.
//
// Pointers:
// `listener` is `NULL` or a handle that was not freed, and no other call uses it.
void jsp_listener_free(struct JspListener *listener);

// Goes on with a new socket, bound as the one before but to a port that the system chooses: for a device that has
// changed its network. Nothing is lost, and other threads may send and receive meanwhile.
//
// Errors: `JSP_ERROR_NOT_A_CLIENT` for a connection of a listener; `JSP_ERROR_SYSTEM`, and the old socket stays;
// `JSP_ERROR_NOT_CONNECTED`; why the connection is over.
//
// Pointers:
// `connection` is a handle that was not freed.
JspError jsp_connection_rebind(struct JspConnection *connection);

// Sets everything about the connection's endpoint: timeouts, windows, rates, key updates, keepalive. Before
// `jsp_connection_connect`; what `jsp_connection_set_keep_alive` has set before is forgotten. `config` may be `NULL` for
// the defaults; it must not have a `server_seed`.
//
// Errors: `JSP_ERROR_INVALID_ARGUMENT`, `JSP_ERROR_STRUCT_SIZE`, `JSP_ERROR_WRONG_STATE`.
//
// Pointers:
// `config` and what it points to may be read.
JspError jsp_connection_set_config(struct JspConnection *connection,
                                   const struct JspConfig *config);

// Keeps the connection alive while nothing is sent: a PING after so many seconds of silence, or after half the idle
// timeout if that is less. 0: no PING, and a connection without traffic ends after 30 s, which is the default. Before
// `jsp_connection_connect`. One side's setting is enough for both.
//
// Errors: `JSP_ERROR_WRONG_STATE`.
//
// Pointers:
// `connection` is a handle that was not freed.
JspError jsp_connection_set_keep_alive(struct JspConnection *connection,
                                       uint32_t seconds);

// Checks settings, and says in words what is wrong with them, with a zero byte at the end: 256 bytes are always enough.
//
// Errors: `JSP_ERROR_INVALID_ARGUMENT` if `jsp_endpoint_new` would refuse them, and then `*len` is the length of the
// text, 0 if a field has a value that it cannot have; `JSP_ERROR_BUFFER_TOO_SMALL`; `JSP_ERROR_STRUCT_SIZE`.
//
// Pointers:
// `config` and what it points to may be read, `out` written for `capacity` bytes, and `len`.
JspError jsp_config_check(const struct JspConfig *config,
                          char *out,
                          size_t capacity,
                          size_t *len);

// Tells what a connection is. Before it is connected some of it is not known.
//
// Errors: `JSP_ERROR_NO_CONNECTION`.
//
// Pointers:
// `info` may be written for as many bytes as its `size` says.
JspError jsp_conn_info(struct JspEndpoint *endpoint, uint64_t connection, struct JspConnInfo *info);

// Why a connection ended.
//
// Errors: `JSP_ERROR_WRONG_STATE` if it has not; `JSP_ERROR_NO_CONNECTION`.
//
// Pointers:
// `reason` may be written for as many bytes as its `size` says.
JspError jsp_conn_close_reason(struct JspEndpoint *endpoint,
                               uint64_t connection,
                               struct JspCloseReason *reason);

// Why a connection ended, in words for people, with a zero byte at the end. `*len` is the length without it. 640 bytes
// are always enough.
//
// Errors: `JSP_ERROR_WRONG_STATE` if it has not; `JSP_ERROR_BUFFER_TOO_SMALL`; `JSP_ERROR_NO_CONNECTION`.
//
// Pointers:
// `out` may be written for `capacity` bytes, and `len`.
JspError jsp_conn_close_text(struct JspEndpoint *endpoint,
                             uint64_t connection,
                             char *out,
                             size_t capacity,
                             size_t *len);

// The application protocol that both sides speak.
//
// Errors: `JSP_ERROR_BUFFER_TOO_SMALL`, with the length in `*len`; `JSP_ERROR_NO_CONNECTION`.
//
// Pointers:
// `out` may be written for `capacity` bytes, and `len`.
JspError jsp_conn_protocol(struct JspEndpoint *endpoint,
                           uint64_t connection,
                           uint8_t *out,
                           size_t capacity,
                           size_t *len);

// Fills `out` with `len` bytes that only both sides of this connection know, for the purpose that `label` and `context`
// name. Both sides get the same bytes.
//
// Errors: `JSP_ERROR_NOT_CONNECTED`, also if label, context or length are out of their bounds;
// `JSP_ERROR_NO_CONNECTION`.
//
// Pointers:
// `label` and `context` may be read for their lengths, `out` written for `len` bytes.
JspError jsp_conn_export_key(struct JspEndpoint *endpoint,
                             uint64_t connection,
                             const uint8_t *label,
                             size_t label_len,
                             const uint8_t *context,
                             size_t context_len,
                             uint8_t *out,
                             size_t len);

// The key that a server offers to a client with `JSP_TRUST_ASK`.
//
// Errors: `JSP_ERROR_WRONG_STATE` if none is offered; `JSP_ERROR_BUFFER_TOO_SMALL`, with the length in `*len`
// (`JSP_PUBLIC_KEY_LEN`); `JSP_ERROR_NO_CONNECTION`.
//
// Pointers:
// `out` may be written for `capacity` bytes, and `len`.
JspError jsp_conn_offered_key(struct JspEndpoint *endpoint,
                              uint64_t connection,
                              uint8_t *out,
                              size_t capacity,
                              size_t *len);

// Trusts the offered key: the handshake goes on.
//
// Errors: `JSP_ERROR_WRONG_STATE` if none is offered; `JSP_ERROR_NO_CONNECTION`.
//
// Pointers:
// `endpoint` is a handle that was not freed.
JspError jsp_conn_trust_key(struct JspEndpoint *endpoint, uint64_t now_ns, uint64_t connection);

// Rejects the offered key: the connection ends with `JSP_ERROR_KEY_REJECTED`.
//
// Errors: `JSP_ERROR_WRONG_STATE` if none is offered; `JSP_ERROR_NO_CONNECTION`.
//
// Pointers:
// `endpoint` is a handle that was not freed.
JspError jsp_conn_reject_key(struct JspEndpoint *endpoint, uint64_t now_ns, uint64_t connection);

// Goes on with this controller, `JSP_CONGESTION_...`, which starts from nothing. It decides how fast this side sends.
//
// Errors: `JSP_ERROR_INVALID_ARGUMENT` for another number; `JSP_ERROR_NO_CONNECTION`.
//
// Pointers:
// `endpoint` is a handle that was not freed.
JspError jsp_conn_set_congestion(struct JspEndpoint *endpoint,
                                 uint64_t now_ns,
                                 uint64_t connection,
                                 uint32_t controller);

// Goes on sending this many bytes of datagrams per second, whatever is lost. For private links that carry nothing else:
// anywhere else it takes the path from all others and may bring it to a standstill.
//
// Errors: `JSP_ERROR_INVALID_ARGUMENT` for 0; `JSP_ERROR_NO_CONNECTION`.
//
// Pointers:
// `endpoint` is a handle that was not freed.
JspError jsp_conn_set_fixed_rate_without_congestion_control(struct JspEndpoint *endpoint,
                                                            uint64_t now_ns,
                                                            uint64_t connection,
                                                            uint64_t bytes_per_second);

// Tells what network the device is on, `JSP_NETWORK_...`: streams without compression or error correction of their own do
// from now on what suits it.
//
// Errors: `JSP_ERROR_INVALID_ARGUMENT` for another number; `JSP_ERROR_NO_CONNECTION`.
//
// Pointers:
// `endpoint` is a handle that was not freed.
JspError jsp_conn_set_network(struct JspEndpoint *endpoint,
                              uint64_t now_ns,
                              uint64_t connection,
                              uint32_t network);

// Closes a connection after everything accepted for sending was delivered. `code` and `reason`, at most
// `JSP_REASON_LEN` bytes, reach the peer's application. `JSP_EVENT_CLOSED` follows; the reason is then
// `JSP_ERROR_LOCALLY_CLOSED`, or `JSP_ERROR_UNDELIVERED` if the peer did not take everything. Closing again does
// nothing.
//
// Errors: `JSP_ERROR_INVALID_ARGUMENT` for a longer reason; `JSP_ERROR_NO_CONNECTION`.
//
// Pointers:
// `reason` may be read for `reason_len` bytes.
JspError jsp_conn_close(struct JspEndpoint *endpoint,
                        uint64_t now_ns,
                        uint64_t connection,
                        uint64_t code,
                        const uint8_t *reason,
                        size_t reason_len);

// Closes a connection at once, whatever is on its way. Otherwise as `jsp_conn_close`.
//
// Pointers:
// `reason` may be read for `reason_len` bytes.
JspError jsp_conn_abort(struct JspEndpoint *endpoint,
                        uint64_t now_ns,
                        uint64_t connection,
                        uint64_t code,
                        const uint8_t *reason,
                        size_t reason_len);

// Forgets a connection that is over with everything that was not read of it. One that is not over is aborted. Its id is
// of no more use.
//
// Errors: `JSP_ERROR_NO_CONNECTION`.
//
// Pointers:
// `endpoint` is a handle that was not freed.
JspError jsp_conn_discard(struct JspEndpoint *endpoint,
                          uint64_t now_ns,
                          uint64_t connection);

// Makes an endpoint. `config` may be `NULL` for a client with the defaults. `seed`, `JSP_SEED_LEN` bytes, is all the
// randomness it ever uses: `jsp_random`, new for every endpoint. Equal seeds and calls give equal datagrams, and two
// endpoints with one seed betray each other's secrets.
//
// `*out` is the program's to free with `jsp_endpoint_free`.
//
// Errors: `JSP_ERROR_INVALID_ARGUMENT`, `JSP_ERROR_STRUCT_SIZE`.
//
// Pointers:
// `config` and what it points to may be read, `seed` too; `out` may be written.
JspError jsp_endpoint_new(const struct JspConfig *config,
                          const uint8_t *seed,
                          struct JspEndpoint **out);

// Frees an endpoint; `NULL` does nothing. Sends nothing: call `jsp_endpoint_shutdown` and go on until
// `jsp_endpoint_is_idle` to take leave. An endpoint that another thread uses at this moment is leaked instead.
//
// Pointers:
// `endpoint` is `NULL` or a handle that was not freed.
void jsp_endpoint_free(struct JspEndpoint *endpoint);

// Gives received datagrams to the endpoint. They are decrypted where they lie: the buffer's content is of no use
// afterwards. Whatever a peer may have sent is no error: it is dropped and counted. Poll afterwards.
//
// Errors: `JSP_ERROR_INVALID_ARGUMENT` if a datagram lies outside the buffer or has no address; those before it were
// taken.
//
// Pointers:
// `buffer` may be read and written for `buffer_len` bytes, `datagrams` read for `datagrams_len` elements.
JspError jsp_endpoint_receive(struct JspEndpoint *endpoint,
                              uint64_t now_ns,
                              uint8_t *buffer,
                              size_t buffer_len,
                              const struct JspDatagram *datagrams,
                              size_t datagrams_len);

// Takes out what the endpoint has: datagrams to send and events, until the program's room is full or there is nothing
// more. Call it after everything else and when the time has come; `poll->wake_at_ns` says when that is.
//
// Errors: `JSP_ERROR_BUFFER_TOO_SMALL` if the buffer holds no datagram of the largest size.
//
// Pointers:
// `poll` and what it points to are as its fields say.
JspError jsp_endpoint_poll(struct JspEndpoint *endpoint,
                           uint64_t now_ns,
                           struct JspPoll *poll);

// Begins to connect to the server at `remote`. How that ends is an event: `JSP_EVENT_CONNECTED` or `JSP_EVENT_CLOSED`.
// `client` may be `NULL` for a server on the loopback address. `*connection` names the connection from now on. An address
// token of an earlier connection of the endpoint to the same pinned key and address is used, if there is one.
//
// Errors: `JSP_ERROR_TRUST_REQUIRED`, `JSP_ERROR_INVALID_KEY`, `JSP_ERROR_INVALID_KEY_ID`, `JSP_ERROR_TOO_LARGE`,
// `JSP_ERROR_TOO_MANY_CONNECTIONS`, `JSP_ERROR_SHUTTING_DOWN`, `JSP_ERROR_INVALID_ARGUMENT`.
//
// Pointers:
// `remote`, `client` and what it points to may be read; `connection` may be written.
JspError jsp_endpoint_connect(struct JspEndpoint *endpoint,
                              uint64_t now_ns,
                              const struct JspAddress *remote,
                              const struct JspClientConfig *client,
                              uint64_t *connection);

// Takes no more connections, and closes all with `code` after delivering what was accepted for sending. Go on until
// `jsp_endpoint_is_idle`.
//
// Pointers:
// `endpoint` is a handle that was not freed.
JspError jsp_endpoint_shutdown(struct JspEndpoint *endpoint,
                               uint64_t now_ns,
                               uint64_t code);

// Sets `*idle` to 1 if no connection is left but such as are over and wait to be read empty, otherwise to 0.
//
// Pointers:
// `idle` may be written.
JspError jsp_endpoint_is_idle(struct JspEndpoint *endpoint,
                              uint32_t *idle);

// What a client tells that asks to be let in; `client` is from `JSP_EVENT_INCOMING`.
//
// Errors: `JSP_ERROR_INCOMING_GONE`.
//
// Pointers:
// `info` may be written for as many bytes as its `size` says.
JspError jsp_incoming_info(struct JspEndpoint *endpoint, uint64_t client, struct JspIncoming *info);

// The id of the identity key that the client offers to prove, with a zero byte at its end, into `out`
// (`JSP_KEY_ID_TEXT` bytes).
//
// Errors: `JSP_ERROR_WRONG_STATE` if it offers none; `JSP_ERROR_INCOMING_GONE`.
//
// Pointers:
// `out` may be written.
JspError jsp_incoming_key_id(struct JspEndpoint *endpoint,
                             uint64_t client,
                             char *out);

// The identity key that the client sent.
//
// Errors: `JSP_ERROR_WRONG_STATE` if it sent none; `JSP_ERROR_BUFFER_TOO_SMALL`; `JSP_ERROR_INCOMING_GONE`.
//
// Pointers:
// `out` may be written for `capacity` bytes, and `len`.
JspError jsp_incoming_key(struct JspEndpoint *endpoint,
                          uint64_t client,
                          uint8_t *out,
                          size_t capacity,
                          size_t *len);

// The id of the pre-shared key that the client offers to prove.
//
// Errors: `JSP_ERROR_WRONG_STATE` if it offers none; `JSP_ERROR_BUFFER_TOO_SMALL`; `JSP_ERROR_INCOMING_GONE`.
//
// Pointers:
// `out` may be written for `capacity` bytes, and `len`.
JspError jsp_incoming_psk_id(struct JspEndpoint *endpoint,
                             uint64_t client,
                             uint8_t *out,
                             size_t capacity,
                             size_t *len);

// What the client's application wants the server's to see; empty if nothing.
//
// Errors: `JSP_ERROR_BUFFER_TOO_SMALL`; `JSP_ERROR_INCOMING_GONE`.
//
// Pointers:
// `out` may be written for `capacity` bytes, and `len`.
JspError jsp_incoming_app_token(struct JspEndpoint *endpoint,
                                uint64_t client,
                                uint8_t *out,
                                size_t capacity,
                                size_t *len);

// Lets a client in; `accept` may be `NULL` for what the configuration says. `JSP_EVENT_CONNECTED` follows when it is in.
//
// Errors: `JSP_ERROR_INCOMING_GONE`, `JSP_ERROR_INVALID_KEY`.
//
// Pointers:
// `accept` is `NULL`, or it and what it points to may be read.
JspError jsp_incoming_accept(struct JspEndpoint *endpoint,
                             uint64_t now_ns,
                             uint64_t client,
                             const struct JspAccept *accept);

// Tells a client that it is not wanted, with a code of the application.
//
// Errors: `JSP_ERROR_INCOMING_GONE`.
//
// Pointers:
// `endpoint` is a handle that was not freed.
JspError jsp_incoming_refuse(struct JspEndpoint *endpoint,
                             uint64_t now_ns,
                             uint64_t client,
                             uint64_t code);

// Stays silent to a client, which then runs into its timeout.
//
// Pointers:
// `endpoint` is a handle that was not freed.
JspError jsp_incoming_ignore(struct JspEndpoint *endpoint, uint64_t client);

// The next piece of public-key work of an endpoint with `JSP_KEM_HANDED_OUT`, into `*job`: to be run by `jsp_job_run`
// and given back by `jsp_endpoint_job_done`, or freed by `jsp_job_free`, which ends that handshake.
//
// Errors: `JSP_ERROR_WOULD_BLOCK` if there is none.
//
// Pointers:
// `job` may be written.
JspError jsp_endpoint_take_job(struct JspEndpoint *endpoint,
                               struct JspJob **job);

// Runs a piece of work. Any thread may, and it needs no endpoint. Running it again does nothing.
//
// Pointers:
// `job` is a handle that was not freed or given back.
JspError jsp_job_run(struct JspJob *job);

// Gives a piece of work back that was run. Frees it, unless it returns an error.
//
// Errors: `JSP_ERROR_WRONG_STATE` if it was not run.
//
// Pointers:
// `job` is a handle that was not freed or given back.
JspError jsp_endpoint_job_done(struct JspEndpoint *endpoint, uint64_t now_ns, struct JspJob *job);

// Frees a piece of work that was not given back; `NULL` does nothing.
//
// Pointers:
// `job` is `NULL` or a handle that was not freed or given back.
void jsp_job_free(struct JspJob *job);

// The library's `JSP_ABI_VERSION`.
uint32_t jsp_abi_version(void);

// Whether a program compiled with a header of this number can use this library: `jsp_abi_check(JSP_ABI_VERSION)`.
//
// Errors: `JSP_ERROR_ABI`.
JspError jsp_abi_check(uint32_t header);

// The library's version, such as `0.1.0`. Lives as long as the library.
const char *jsp_version(void);

// Fills `out` with `len` bytes from the operating system's source of randomness, for seeds. May block at system start.
//
// Errors: `JSP_ERROR_SYSTEM`.
//
// Pointers:
// `out` may be written for `len` bytes.
JspError jsp_random(uint8_t *out,
                    size_t len);

// The public key of the secret key that `seed` (`JSP_SEED_LEN` bytes) stands for, into `out` (`JSP_PUBLIC_KEY_LEN`
// bytes). Takes about 0.1 ms.
//
// Pointers:
// `seed` may be read and `out` written for that many bytes.
JspError jsp_public_key(const uint8_t *seed,
                        uint8_t *out);

// The id of a public key of `len` bytes, as text with a zero byte at its end, into `out` (`JSP_KEY_ID_TEXT` bytes).
//
// Errors: `JSP_ERROR_INVALID_KEY`.
//
// Pointers:
// `key` may be read for `len` bytes and `out` written.
JspError jsp_key_id(const uint8_t *key,
                    size_t len,
                    char *out);

// Whether a text is a key id, so that a program can say so before it connects.
//
// Errors: `JSP_ERROR_INVALID_KEY_ID`.
//
// Pointers:
// `key_id` ends with a zero byte.
JspError jsp_key_id_check(const char *key_id);

// The program goes on with another socket, bound to `local`, `NULL` or without an address where that is not known or is
// the unspecified address. All connections that this endpoint has made go over it from now on and lose nothing, while
// those it has accepted are lost, because their clients know the old address only. For a device that has changed its
// network, or whose socket has failed. Poll afterwards; `JSP_EVENT_PATH_CHANGED` says for each connection that the new
// socket works.
//
// Errors: `JSP_ERROR_INVALID_ARGUMENT` if `local` is no address.
//
// Pointers:
// `endpoint` is a handle that was not freed; `local` is `NULL` or may be read.
JspError jsp_endpoint_rebind(struct JspEndpoint *endpoint,
                             uint64_t now_ns,
                             const struct JspAddress *local);

// Client: moves the connection to another address of this host, `local`, on which the program has a socket too:
// `JspTransmit` says from now on from which address each datagram goes, and `JspDatagram` must say to which one it came.
// The server follows. `JSP_EVENT_PATH_CHANGED` says that the new path works; if it does not, the connection goes back to
// the old one after three probe timeouts. If the old socket is gone, use `jsp_endpoint_rebind`.
//
// Errors, with which the connection stays where it is: `JSP_ERROR_NOT_A_CLIENT`; `JSP_ERROR_NOT_CONNECTED` before
// `JSP_EVENT_HANDSHAKE_CONFIRMED` and after the end; `JSP_ERROR_MIGRATION_FORBIDDEN`; `JSP_ERROR_NO_CONNECTION_ID`;
// `JSP_ERROR_INVALID_ARGUMENT` without an address; `JSP_ERROR_NO_CONNECTION`.
//
// Pointers:
// `endpoint` is a handle that was not freed; `local` may be read.
JspError jsp_conn_migrate(struct JspEndpoint *endpoint,
                          uint64_t now_ns,
                          uint64_t connection,
                          const struct JspAddress *local);

// Changes the keys of both directions of a connection, beside the updates that happen by themselves
// (`key_update_packets`). Poll afterwards. `key_updates` of `JspConnStats` counts it when the peer has followed.
//
// Errors, with which nothing has changed: `JSP_ERROR_NOT_CONFIRMED` before `JSP_EVENT_HANDSHAKE_CONFIRMED`;
// `JSP_ERROR_KEY_UPDATE_PENDING`; `JSP_ERROR_CLOSED`; `JSP_ERROR_NO_CONNECTION`.
//
// Pointers:
// `endpoint` is a handle that was not freed.
JspError jsp_conn_update_keys(struct JspEndpoint *endpoint,
                              uint64_t now_ns,
                              uint64_t connection);

// Replaces the keys of address tokens, `JSP_KEY_LEN` bytes each: `current` makes them, and those of `previous`, which may
// be `NULL`, are accepted as well. For servers that hand out their keys by means of their own; from now on no key takes
// its turn by itself. To be called at all servers of an address, first with the new key as `previous`, then with it as
// `current`: then none gets a token whose key it does not know yet.
//
// Pointers:
// `endpoint` is a handle that was not freed; `current` may be read for that many bytes, and `previous` unless `NULL`.
JspError jsp_endpoint_set_token_keys(struct JspEndpoint *endpoint,
                                     const uint8_t *current,
                                     const uint8_t *previous);

// The counters of an endpoint.
//
// Pointers:
// `stats` may be written for as many bytes as its `size` says.
JspError jsp_endpoint_stats(struct JspEndpoint *endpoint, struct JspEndpointStats *stats);

// How many reasons there are. The order of reasons may be another one in another version; their names stay.
uint32_t jsp_drop_reason_count(void);

// The name of the reason with this index in `dropped`, such as `malformed`; `NULL` beyond the last. Lives as long as the
// library.
const char *jsp_drop_reason_name(uint32_t index);

// One connection in numbers.
//
// Errors: `JSP_ERROR_NO_CONNECTION`.
//
// Pointers:
// `stats` may be written for as many bytes as its `size` says.
JspError jsp_conn_stats(struct JspEndpoint *endpoint,
                        uint64_t connection,
                        struct JspConnStats *stats);

// What an error means, in words, for people. Never `NULL`; lives as long as the library.
const char *jsp_error_string(JspError error);

// Opens a stream; `options` may be `NULL` for a bidirectional stream of bytes. The peer learns of it at once.
//
// Errors: `JSP_ERROR_STREAM_LIMIT` (`JSP_EVENT_STREAMS_AVAILABLE` follows), `JSP_ERROR_MODE_NEEDS_MESSAGES`,
// `JSP_ERROR_CLOSED`, `JSP_ERROR_NO_CONNECTION`, `JSP_ERROR_INVALID_ARGUMENT`.
//
// Pointers:
// `options` is `NULL` or may be read; `stream` may be written.
JspError jsp_stream_open(struct JspEndpoint *endpoint,
                         uint64_t now_ns,
                         uint64_t connection,
                         const struct JspStreamOptions *options,
                         uint64_t *stream);

// Writes to a stream of bytes as much as there is room for; `*written` says how much that was.
//
// Errors: `JSP_ERROR_WOULD_BLOCK` if there is no room (`JSP_EVENT_STREAM_WRITABLE` follows), `JSP_ERROR_FINISHED`,
// `JSP_ERROR_STOPPED`, `JSP_ERROR_RESET`, `JSP_ERROR_WRONG_KIND`, `JSP_ERROR_NO_STREAM`, `JSP_ERROR_CLOSED`,
// `JSP_ERROR_NO_CONNECTION`.
//
// Pointers:
// `data` may be read for `len` bytes; `written` may be written.
JspError jsp_stream_send(struct JspEndpoint *endpoint,
                         uint64_t now_ns,
                         uint64_t connection,
                         uint64_t stream,
                         const uint8_t *data,
                         size_t len,
                         size_t *written);

// Sends a message on a stream of messages: all of it or nothing. `options` may be `NULL`. `message`, unless `NULL`,
// gets its number, which `JSP_EVENT_MESSAGE_OUTCOME` repeats.
//
// Errors: `JSP_ERROR_EMPTY_MESSAGE`, `JSP_ERROR_MESSAGE_TOO_LARGE` (`max_message_size` of `jsp_conn_info`), and those of
// `jsp_stream_send`.
//
// Pointers:
// `data` may be read for `len` bytes, `options` is `NULL` or may be read, `message` is `NULL` or may be written.
JspError jsp_stream_send_message(struct JspEndpoint *endpoint,
                                 uint64_t now_ns,
                                 uint64_t connection,
                                 uint64_t stream,
                                 const uint8_t *data,
                                 size_t len,
                                 const struct JspMessageOptions *options,
                                 uint64_t *message);

// Says that this side sends no more on the stream. `JSP_EVENT_STREAM_FINISHED` follows when all is delivered.
//
// Errors: as `jsp_stream_send`.
//
// Pointers:
// `endpoint` is a handle that was not freed.
JspError jsp_stream_finish(struct JspEndpoint *endpoint,
                           uint64_t now_ns,
                           uint64_t connection,
                           uint64_t stream);

// Gives up sending on the stream; the peer learns the code.
//
// Errors: as `jsp_stream_send`.
//
// Pointers:
// `endpoint` is a handle that was not freed.
JspError jsp_stream_reset(struct JspEndpoint *endpoint,
                          uint64_t now_ns,
                          uint64_t connection,
                          uint64_t stream,
                          uint64_t code);

// Tells the peer to send no more on the stream; what arrived and was not read is dropped. Saying it again does nothing.
//
// Errors: `JSP_ERROR_WRONG_KIND`, `JSP_ERROR_NO_STREAM`, `JSP_ERROR_NO_CONNECTION`.
//
// Pointers:
// `endpoint` is a handle that was not freed.
JspError jsp_stream_stop(struct JspEndpoint *endpoint,
                         uint64_t now_ns,
                         uint64_t connection,
                         uint64_t stream,
                         uint64_t code);

// Changes the priority of a stream, 0 to 255.
//
// Errors: `JSP_ERROR_INVALID_ARGUMENT`, and those of `jsp_stream_send`.
//
// Pointers:
// `endpoint` is a handle that was not freed.
JspError jsp_stream_set_priority(struct JspEndpoint *endpoint,
                                 uint64_t now_ns,
                                 uint64_t connection,
                                 uint64_t stream,
                                 uint32_t priority);

// Changes the compression of what this side sends on a stream from now on, `JSP_COMPRESSION_...` but not the default.
// For streams that the peer opened, too.
//
// Errors: `JSP_ERROR_INVALID_ARGUMENT`; `JSP_ERROR_WRONG_KIND` for a stream of bytes that was opened without compression
// or on which this side does not send; `JSP_ERROR_NO_STREAM`, `JSP_ERROR_NO_CONNECTION`.
//
// Pointers:
// `endpoint` is a handle that was not freed.
JspError jsp_stream_set_compression(struct JspEndpoint *endpoint,
                                    uint64_t now_ns,
                                    uint64_t connection,
                                    uint64_t stream,
                                    uint32_t compression);

// Changes the error correction of what this side sends on a stream from now on, `JSP_FEC_...` but not the default.
// `sources` and `parity` are 1 to 64 and 1 to 32 with `JSP_FEC_ON`, otherwise 0. For streams that the peer opened, too.
//
// Errors: `JSP_ERROR_INVALID_ARGUMENT`; `JSP_ERROR_WRONG_KIND` if this side does not send on it; `JSP_ERROR_NO_STREAM`,
// `JSP_ERROR_NO_CONNECTION`.
//
// Pointers:
// `endpoint` is a handle that was not freed.
JspError jsp_stream_set_fec(struct JspEndpoint *endpoint,
                            uint64_t now_ns,
                            uint64_t connection,
                            uint64_t stream,
                            uint32_t fec,
                            uint32_t sources,
                            uint32_t parity);

// How many bytes a stream would take now; a message counts 32 bytes more than it has.
//
// Errors: `JSP_ERROR_NO_CONNECTION`.
//
// Pointers:
// `bytes` may be written.
JspError jsp_stream_send_capacity(struct JspEndpoint *endpoint,
                                  uint64_t now_ns,
                                  uint64_t connection,
                                  uint64_t stream,
                                  uint64_t *bytes);

// Reads what there is of a stream of bytes, at most `capacity`; `*len` says how much that was.
//
// Errors: `JSP_ERROR_WOULD_BLOCK` if there is nothing yet (`JSP_EVENT_STREAM_READABLE` follows), `JSP_ERROR_END` at the
// regular end, `JSP_ERROR_RESET` if the peer gave up (`JSP_EVENT_STREAM_RESET` has its code), `JSP_ERROR_STOPPED`,
// `JSP_ERROR_WRONG_KIND`, `JSP_ERROR_NO_STREAM`, `JSP_ERROR_NO_CONNECTION`.
//
// Pointers:
// `out` may be written for `capacity` bytes, and `len`.
JspError jsp_stream_recv(struct JspEndpoint *endpoint,
                         uint64_t now_ns,
                         uint64_t connection,
                         uint64_t stream,
                         uint8_t *out,
                         size_t capacity,
                         size_t *len);

// Receives the next message of a stream of messages; `*len` says how long it is.
//
// Errors: `JSP_ERROR_BUFFER_TOO_SMALL`, with the message's length in `*len` and the message still there; otherwise as
// `jsp_stream_recv`.
//
// Pointers:
// `out` may be written for `capacity` bytes, and `len`.
JspError jsp_stream_recv_message(struct JspEndpoint *endpoint,
                                 uint64_t now_ns,
                                 uint64_t connection,
                                 uint64_t stream,
                                 uint8_t *out,
                                 size_t capacity,
                                 size_t *len);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* JSP_H */
