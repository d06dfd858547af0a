/*
 * The polling interface as no program should use it: whatever is wrong, there is a status for it.
 * Arguments: the steps of the random walk and its seed. A walk is the same whenever the program
 * takes it, but compilers may differ in the order in which arguments are rolled.
 */
#include "world.h"

#include <pthread.h>
#include <string.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* A structure of any size that the library may believe. */
typedef union Room {
    uint32_t size;
    uint64_t words[1024];
    uint8_t bytes[8192];
    JspConfig config;
    JspClientConfig client;
    JspAccept accept;
    JspPoll poll;
    JspStreamOptions stream;
    JspMessageOptions message;
    JspConnInfo info;
    JspCloseReason reason;
    JspIncoming incoming;
    JspEndpointStats endpoint_stats;
    JspConnStats conn_stats;
} Room;

static World *connected(uint64_t ids[SIDES])
{
    Settings settings;
    World *world;

    settings_init(&settings);
    world = world_new(&settings);
    settings.trust.trust = JSP_TRUST_PINNED;
    settings.trust.public_key = world->public_key;
    world_connect(world, &settings.trust, ids);
    return world;
}

/* ---- NULL */

static void null_handles(void)
{
    static Room room;
    JspAddress address = {0};
    JspDatagram datagram;
    JspJob *job = NULL;
    uint8_t out[JSP_PUBLIC_KEY_LEN];
    char text[JSP_KEY_ID_TEXT];
    uint64_t id = 0;
    uint32_t idle = 0;
    size_t len = 0;

#define GONE(call) CHECK_IS(call, JSP_ERROR_NULL)
    memset(&datagram, 0, sizeof(datagram));
    GONE(jsp_endpoint_receive(NULL, 0, out, sizeof(out), &datagram, 1));
    GONE(jsp_endpoint_poll(NULL, 0, &room.poll));
    GONE(jsp_endpoint_connect(NULL, 0, &address, NULL, &id));
    GONE(jsp_endpoint_shutdown(NULL, 0, 0));
    GONE(jsp_endpoint_is_idle(NULL, &idle));
    GONE(jsp_endpoint_stats(NULL, &room.endpoint_stats));
    GONE(jsp_endpoint_take_job(NULL, &job));
    GONE(jsp_endpoint_job_done(NULL, 0, NULL));
    GONE(jsp_job_run(NULL));
    GONE(jsp_incoming_info(NULL, 0, &room.incoming));
    GONE(jsp_incoming_key_id(NULL, 0, text));
    GONE(jsp_incoming_key(NULL, 0, out, sizeof(out), &len));
    GONE(jsp_incoming_psk_id(NULL, 0, out, sizeof(out), &len));
    GONE(jsp_incoming_app_token(NULL, 0, out, sizeof(out), &len));
    GONE(jsp_incoming_accept(NULL, 0, 0, NULL));
    GONE(jsp_incoming_refuse(NULL, 0, 0, 0));
    GONE(jsp_incoming_ignore(NULL, 0));
    GONE(jsp_conn_info(NULL, 0, &room.info));
    GONE(jsp_conn_close_reason(NULL, 0, &room.reason));
    GONE(jsp_conn_close_text(NULL, 0, text, sizeof(text), &len));
    GONE(jsp_conn_protocol(NULL, 0, out, sizeof(out), &len));
    GONE(jsp_conn_export_key(NULL, 0, out, 1, out, 1, out, 16));
    GONE(jsp_conn_offered_key(NULL, 0, out, sizeof(out), &len));
    GONE(jsp_conn_trust_key(NULL, 0, 0));
    GONE(jsp_conn_reject_key(NULL, 0, 0));
    GONE(jsp_conn_set_congestion(NULL, 0, 0, JSP_CONGESTION_BBR));
    GONE(jsp_conn_set_fixed_rate_without_congestion_control(NULL, 0, 0, 1));
    GONE(jsp_conn_set_network(NULL, 0, 0, JSP_NETWORK_WIFI));
    GONE(jsp_conn_set_app_state(NULL, 0, 0, JSP_APP_SLEEP));
    GONE(jsp_conn_observed_address(NULL, 0, 0, &(JspAddress){0}));
    GONE(jsp_endpoint_rebind(NULL, 0, NULL));
    GONE(jsp_endpoint_set_token_keys(NULL, out, NULL));
    GONE(jsp_conn_migrate(NULL, 0, 0, &address));
    GONE(jsp_conn_update_keys(NULL, 0, 0));
    GONE(jsp_conn_close(NULL, 0, 0, 0, NULL, 0));
    GONE(jsp_conn_abort(NULL, 0, 0, 0, NULL, 0));
    GONE(jsp_conn_discard(NULL, 0, 0));
    GONE(jsp_conn_stats(NULL, 0, &room.conn_stats));
    GONE(jsp_stream_open(NULL, 0, 0, NULL, &id));
    GONE(jsp_stream_send(NULL, 0, 0, 0, out, 1, &len));
    GONE(jsp_stream_send_message(NULL, 0, 0, 0, out, 1, NULL, NULL));
    GONE(jsp_stream_finish(NULL, 0, 0, 0));
    GONE(jsp_stream_reset(NULL, 0, 0, 0, 0));
    GONE(jsp_stream_stop(NULL, 0, 0, 0, 0));
    GONE(jsp_stream_set_priority(NULL, 0, 0, 0, 0));
    GONE(jsp_stream_set_compression(NULL, 0, 0, 0, JSP_COMPRESSION_ADAPTIVE));
    GONE(jsp_stream_set_fec(NULL, 0, 0, 0, JSP_FEC_AUTO, 0, 0));
    GONE(jsp_stream_send_capacity(NULL, 0, 0, 0, &id));
    GONE(jsp_stream_recv(NULL, 0, 0, 0, out, sizeof(out), &len));
    GONE(jsp_stream_recv_message(NULL, 0, 0, 0, out, sizeof(out), &len));
    jsp_endpoint_free(NULL);
    jsp_job_free(NULL);
}

static void null_pointers(void)
{
    uint64_t ids[SIDES], stream, messages, id = 0;
    World *world = connected(ids);
    JspEndpoint *end = world->end[CLIENT], *made = NULL;
    JspStreamOptions options = {0};
    JspAddress address;
    uint8_t out[JSP_PUBLIC_KEY_LEN] = {0};
    size_t len = 0;

    options.size = sizeof(options);
    options.kind = JSP_STREAM_ORDERED_MESSAGES;
    stream = world_open(world, ids, NULL);
    messages = world_open(world, ids, &options);
    GONE(jsp_address_parse(NULL, &address));
    GONE(jsp_address_parse("127.0.0.1:1", NULL));
    GONE(jsp_address_format(NULL, (char *)out));
    GONE(jsp_address_format(&world->address[CLIENT], NULL));
    GONE(jsp_random(NULL, 1));
    GONE(jsp_public_key(NULL, out));
    GONE(jsp_public_key(out, NULL));
    GONE(jsp_key_id(NULL, JSP_PUBLIC_KEY_LEN, (char *)out));
    GONE(jsp_key_id(world->public_key, JSP_PUBLIC_KEY_LEN, NULL));
    GONE(jsp_key_id_check(NULL));
    GONE(jsp_endpoint_new(NULL, NULL, &made));
    GONE(jsp_endpoint_new(NULL, SERVER_SEED, NULL));
    GONE(jsp_endpoint_receive(end, 0, NULL, 1, NULL, 0));
    GONE(jsp_endpoint_receive(end, 0, out, sizeof(out), NULL, 1));
    GONE(jsp_endpoint_poll(end, 0, NULL));
    GONE(jsp_endpoint_connect(end, 0, NULL, NULL, &id));
    GONE(jsp_endpoint_set_token_keys(end, NULL, out));
    GONE(jsp_conn_migrate(end, 0, ids[CLIENT], NULL));
    GONE(jsp_endpoint_connect(end, 0, &world->address[SERVER], NULL, NULL));
    GONE(jsp_endpoint_is_idle(end, NULL));
    GONE(jsp_endpoint_stats(end, NULL));
    GONE(jsp_endpoint_take_job(end, NULL));
    GONE(jsp_endpoint_job_done(end, 0, NULL));
    GONE(jsp_conn_info(end, ids[CLIENT], NULL));
    GONE(jsp_conn_stats(end, ids[CLIENT], NULL));
    GONE(jsp_conn_protocol(end, ids[CLIENT], NULL, 8, &len));
    GONE(jsp_conn_protocol(end, ids[CLIENT], out, 8, NULL));
    GONE(jsp_conn_export_key(end, ids[CLIENT], NULL, 1, out, 1, out, 16));
    GONE(jsp_conn_export_key(end, ids[CLIENT], out, 1, NULL, 1, out, 16));
    GONE(jsp_conn_export_key(end, ids[CLIENT], out, 1, out, 1, NULL, 16));
    GONE(jsp_conn_close(end, 0, ids[CLIENT], 0, NULL, 1));
    GONE(jsp_conn_abort(end, 0, ids[CLIENT], 0, NULL, 1));
    GONE(jsp_stream_open(end, 0, ids[CLIENT], NULL, NULL));
    GONE(jsp_stream_send(end, 0, ids[CLIENT], stream, NULL, 1, &len));
    GONE(jsp_stream_send(end, 0, ids[CLIENT], stream, out, 1, NULL));
    GONE(jsp_stream_send_message(end, 0, ids[CLIENT], messages, NULL, 1, NULL, NULL));
    GONE(jsp_stream_send_capacity(end, 0, ids[CLIENT], stream, NULL));
    GONE(jsp_stream_recv(end, 0, ids[CLIENT], stream, NULL, 1, &len));
    GONE(jsp_stream_recv(end, 0, ids[CLIENT], stream, out, 1, NULL));
    GONE(jsp_stream_recv_message(end, 0, ids[CLIENT], messages, out, 1, NULL));
    CHECK(made == NULL);
    world_free(world);
#undef GONE
}

/* ---- structures */

/* `first` is the size of the structure in the first version that had it. */
static void expect_size_checks(World *world, const uint64_t ids[SIDES], Room *room, uint32_t first,
                               uint32_t size, JspError (*call)(World *, const uint64_t *, Room *),
                               int is_read)
{
    static const uint32_t wrong[] = {0, 1, 4, 4097, UINT32_MAX};
    size_t i;

    for (i = 0; i < LENGTH(wrong); i++) {
        if (is_read || wrong[i] < size) {
            room->size = wrong[i];
            CHECK_IS(call(world, ids, room), JSP_ERROR_STRUCT_SIZE);
        }
    }
    room->size = first - 1;
    CHECK_IS(call(world, ids, room), JSP_ERROR_STRUCT_SIZE);
    room->size = first;
    CHECK(call(world, ids, room) != JSP_ERROR_STRUCT_SIZE);
    room->size = size + 8;
    CHECK(call(world, ids, room) != JSP_ERROR_STRUCT_SIZE);
    room->bytes[size + 7] = 1;
    CHECK((call(world, ids, room) == JSP_ERROR_STRUCT_SIZE) == is_read);
    CHECK(room->size == size + 8 && room->bytes[size + 7] == 1);
}

static JspError call_new(World *world, const uint64_t *ids, Room *room)
{
    JspEndpoint *made = NULL;
    JspError error = jsp_endpoint_new(&room->config, SERVER_SEED, &made);
    (void)world;
    (void)ids;
    CHECK((error == JSP_ERROR_OK) == (made != NULL));
    jsp_endpoint_free(made);
    return error;
}

static JspError call_connect(World *world, const uint64_t *ids, Room *room)
{
    uint64_t id;
    (void)ids;
    return jsp_endpoint_connect(world->end[CLIENT], 0, &world->address[SERVER], &room->client, &id);
}

static JspError call_accept(World *world, const uint64_t *ids, Room *room)
{
    (void)ids;
    return jsp_incoming_accept(world->end[SERVER], 0, 0, &room->accept);
}

static JspError call_poll(World *world, const uint64_t *ids, Room *room)
{
    (void)ids;
    return jsp_endpoint_poll(world->end[CLIENT], 0, &room->poll);
}

static JspError call_open(World *world, const uint64_t *ids, Room *room)
{
    uint64_t id;
    return jsp_stream_open(world->end[CLIENT], 0, ids[CLIENT], &room->stream, &id);
}

static JspError call_send_message(World *world, const uint64_t *ids, Room *room)
{
    return jsp_stream_send_message(world->end[CLIENT], 0, ids[CLIENT], 0, SERVER_SEED, 1,
                                   &room->message, NULL);
}

static JspError call_info(World *world, const uint64_t *ids, Room *room)
{
    return jsp_conn_info(world->end[CLIENT], ids[CLIENT], &room->info);
}

static JspError call_stats(World *world, const uint64_t *ids, Room *room)
{
    return jsp_conn_stats(world->end[CLIENT], ids[CLIENT], &room->conn_stats);
}

static JspError call_endpoint_stats(World *world, const uint64_t *ids, Room *room)
{
    (void)ids;
    return jsp_endpoint_stats(world->end[CLIENT], &room->endpoint_stats);
}

static JspError call_reason(World *world, const uint64_t *ids, Room *room)
{
    return jsp_conn_close_reason(world->end[CLIENT], ids[CLIENT], &room->reason);
}

static void struct_sizes(void)
{
    uint64_t ids[SIDES];
    World *world = connected(ids);
    Room *room = NULL;

#define SIZES(type, call, is_read) SIZES_FROM(sizeof(type), type, call, is_read)
#define SIZES_FROM(first, type, call, is_read)                                                     \
    do {                                                                                           \
        room = calloc(1, sizeof(*room));                                                           \
        CHECK(room != NULL);                                                                       \
        expect_size_checks(world, ids, room, first, sizeof(type), call, is_read);                  \
        free(room);                                                                                \
    } while (0)
    SIZES_FROM(offsetof(JspConfig, congestion), JspConfig, call_new, 1);
    SIZES(JspClientConfig, call_connect, 1);
    SIZES(JspAccept, call_accept, 1);
    SIZES(JspPoll, call_poll, 1);
    SIZES_FROM(offsetof(JspStreamOptions, compression), JspStreamOptions, call_open, 1);
    SIZES(JspMessageOptions, call_send_message, 1);
    SIZES(JspConnInfo, call_info, 0);
    SIZES_FROM(offsetof(JspConnStats, compressions_tried), JspConnStats, call_stats, 0);
    SIZES_FROM(offsetof(JspEndpointStats, seal_openings), JspEndpointStats, call_endpoint_stats, 0);
    CHECK_OK(jsp_conn_abort(world->end[CLIENT], world->now_ns, ids[CLIENT], 0, NULL, 0));
    SIZES(JspCloseReason, call_reason, 0);
#undef SIZES_FROM
#undef SIZES
    world_free(world);
}

/* ---- rooms */

static void little_room(void)
{
    uint64_t ids[SIDES], stream;
    World *world = connected(ids);
    JspTransmit transmit;
    JspEvent event;
    JspPoll out;
    size_t opened = 0, len;
    int rounds;

    CHECK_OK(jsp_stream_open(world->end[CLIENT], world->now_ns, ids[CLIENT], NULL, &stream));
    CHECK_OK(jsp_stream_open(world->end[CLIENT], world->now_ns, ids[CLIENT], NULL, &stream));
    world_poll(world);
    while (world->packets_len > 0) {
        world_deliver(world);
    }
    memset(&out, 0, sizeof(out));
    out.size = sizeof(out);
    out.buffer = world->buffer;
    out.buffer_len = 1471;
    CHECK_IS(jsp_endpoint_poll(world->end[SERVER], world->now_ns, &out),
             JSP_ERROR_BUFFER_TOO_SMALL);
    out.buffer_len = 1472;
    out.events_capacity = 1;
    CHECK_IS(jsp_endpoint_poll(world->end[SERVER], world->now_ns, &out), JSP_ERROR_NULL);
    out.events_capacity = 0;
    CHECK_OK(jsp_endpoint_poll(world->end[SERVER], world->now_ns, &out));
    CHECK(out.more != 0 && out.events_len == 0 && out.transmits_len == 0);
    out.events = &event;
    out.events_capacity = 1;
    out.transmits = &transmit;
    for (rounds = 0; rounds < 100 && (rounds == 0 || out.more != 0); rounds++) {
        out.transmits_capacity = rounds > 20;
        CHECK_OK(jsp_endpoint_poll(world->end[SERVER], world->now_ns, &out));
        opened += out.events_len == 1 && event.kind == JSP_EVENT_STREAM_OPENED;
    }
    CHECK(opened == 2 && rounds < 100);
    CHECK_IS(jsp_stream_recv(world->end[SERVER], world->now_ns, ids[SERVER], stream, NULL, 0, &len),
             JSP_ERROR_WOULD_BLOCK);
    world_free(world);
}

static void datagrams_outside_the_buffer(void)
{
    static const size_t bad[][2] = {{0, 101}, {100, 1}, {101, 0}, {SIZE_MAX, 2}, {1, SIZE_MAX}};
    uint64_t ids[SIDES];
    World *world = connected(ids);
    uint8_t buffer[100] = {0};
    JspDatagram datagram;
    size_t i;

    memset(&datagram, 0, sizeof(datagram));
    datagram.remote = world->address[CLIENT];
    for (i = 0; i < LENGTH(bad); i++) {
        datagram.offset = bad[i][0];
        datagram.len = bad[i][1];
        CHECK_IS(jsp_endpoint_receive(world->end[SERVER], 0, buffer, sizeof(buffer), &datagram, 1),
                 JSP_ERROR_INVALID_ARGUMENT);
    }
    datagram.offset = 100;
    datagram.len = 0;
    CHECK_OK(jsp_endpoint_receive(world->end[SERVER], 0, buffer, sizeof(buffer), &datagram, 1));
    datagram.remote.family = JSP_FAMILY_NONE;
    CHECK_IS(jsp_endpoint_receive(world->end[SERVER], 0, buffer, sizeof(buffer), &datagram, 1),
             JSP_ERROR_INVALID_ARGUMENT);
    datagram.remote.family = 99;
    CHECK_IS(jsp_endpoint_receive(world->end[SERVER], 0, buffer, sizeof(buffer), &datagram, 1),
             JSP_ERROR_INVALID_ARGUMENT);
    world_free(world);
}

/* ---- ids */

static void ids_that_outlived(void)
{
    uint64_t first[SIDES], second[SIDES], stream;
    World *world = connected(first);
    JspConnInfo info = {0};
    size_t len;

    CHECK_OK(jsp_stream_open(world->end[CLIENT], world->now_ns, first[CLIENT], NULL, &stream));
    CHECK_OK(jsp_conn_discard(world->end[CLIENT], world->now_ns, first[CLIENT]));
    world_run(world, 100 * SECOND);
    {
        JspClientConfig trust = {0};
        trust.size = sizeof(trust);
        trust.trust = JSP_TRUST_PINNED;
        trust.public_key = world->public_key;
        world->events_len[CLIENT] = world->events_len[SERVER] = 0;
        world_connect(world, &trust, second);
    }
    /* The place is the same, the generation is not. */
    CHECK((uint32_t)first[CLIENT] == (uint32_t)second[CLIENT] && first[CLIENT] != second[CLIENT]);
    info.size = sizeof(info);
    CHECK_IS(jsp_conn_info(world->end[CLIENT], first[CLIENT], &info), JSP_ERROR_NO_CONNECTION);
    CHECK_IS(jsp_stream_send(world->end[CLIENT], world->now_ns, first[CLIENT], stream, SERVER_SEED,
                             1, &len),
             JSP_ERROR_NO_CONNECTION);
    CHECK_IS(jsp_stream_send(world->end[CLIENT], world->now_ns, second[CLIENT], UINT64_MAX,
                             SERVER_SEED, 1, &len),
             JSP_ERROR_NO_STREAM);
    CHECK_IS(jsp_stream_finish(world->end[CLIENT], world->now_ns, UINT64_MAX, stream),
             JSP_ERROR_NO_CONNECTION);
    CHECK_IS(jsp_stream_recv(world->end[CLIENT], world->now_ns, second[CLIENT], stream, NULL, 0,
                             &len),
             JSP_ERROR_NO_STREAM);
    CHECK_OK(jsp_conn_info(world->end[CLIENT], second[CLIENT], &info));
    world_free(world);
}

/* ---- threads */

/* Calls that take long, so that two threads meet inside. */
static void *intrude(void *argument)
{
    World *world = argument;
    JspClientConfig trust = {0};
    uintptr_t turned_away = 0;
    int i;

    trust.size = sizeof(trust);
    trust.trust = JSP_TRUST_PINNED;
    trust.public_key = world->public_key;
    for (i = 0; i < 40; i++) {
        uint64_t id = 7;
        JspError error =
            jsp_endpoint_connect(world->end[CLIENT], 0, &world->address[SERVER], &trust, &id);
        CHECK(error == JSP_ERROR_OK || (error == JSP_ERROR_BUSY && id == 7));
        turned_away += error == JSP_ERROR_BUSY;
    }
    return (void *)turned_away;
}

/* Whoever comes while another thread is inside is told so, and nothing else happens. */
static void two_threads(void)
{
    uint64_t ids[SIDES];
    World *world = connected(ids);
    pthread_t threads[2];
    uintptr_t turned_away = 0;
    JspEndpointStats stats = {0};
    size_t i;

    for (i = 0; i < LENGTH(threads); i++) {
        CHECK(pthread_create(&threads[i], NULL, intrude, world) == 0);
    }
    for (i = 0; i < LENGTH(threads); i++) {
        void *count = NULL;
        CHECK(pthread_join(threads[i], &count) == 0);
        turned_away += (uintptr_t)count;
    }
    stats.size = sizeof(stats);
    CHECK_OK(jsp_endpoint_stats(world->end[CLIENT], &stats));
    CHECK(stats.connections == 1 + 80 - turned_away);
    printf("of 80 calls of two threads %lu met another\n", (unsigned long)turned_away);
    world_free(world);
}

/* ---- the random walk */

#define POOL 16

typedef struct Walk {
    uint64_t random;
    World *world;
    Settings settings;
    /* What was given out lately, to be used again, whether it is still good or not. */
    uint64_t connections[POOL];
    uint64_t streams[POOL];
    uint64_t clients[POOL];
    JspJob *jobs[POOL];
    Room room;
    uint8_t data[70000];
    uint64_t statuses[80];
} Walk;

static uint64_t roll(Walk *walk, uint64_t below)
{
    walk->random ^= walk->random << 13;
    walk->random ^= walk->random >> 7;
    walk->random ^= walk->random << 17;
    return below == 0 ? walk->random : (walk->random >> 11) % below;
}

static uint64_t pick(Walk *walk, const uint64_t *pool)
{
    return roll(walk, 16) == 0 ? roll(walk, 0) : pool[roll(walk, POOL)];
}

static uint64_t now(Walk *walk)
{
    return roll(walk, 8) == 0 ? roll(walk, walk->world->now_ns) : walk->world->now_ns;
}

static uint8_t *data(Walk *walk)
{
    return roll(walk, 16) == 0 ? NULL : walk->data;
}

static size_t data_len(Walk *walk)
{
    static const uint64_t most[] = {1, 40, 129, 1300, 70001};
    return (size_t)roll(walk, most[roll(walk, LENGTH(most))]);
}

/* A structure: mostly of the right size and all zeros, sometimes not. */
static void make_room(Walk *walk, uint32_t size)
{
    size_t i;
    memset(&walk->room, 0, sizeof(walk->room));
    if (roll(walk, 4) == 0) {
        for (i = 4; i < size; i += 1 + (size_t)roll(walk, size)) {
            walk->room.bytes[i] = (uint8_t)roll(walk, 4);
        }
    }
    walk->room.size = roll(walk, 16) == 0 ? (uint32_t)roll(walk, 5000) : size;
}

static JspError walk_connect(Walk *walk, JspEndpoint *end)
{
    JspClientConfig trust = walk->settings.trust;
    uint64_t id = 0;
    JspError error;

    trust.trust = roll(walk, 4) == 0 ? (uint32_t)roll(walk, 6) : JSP_TRUST_PINNED;
    trust.identity_seed = roll(walk, 2) == 0 ? CLIENT_SEED : NULL;
    trust.identity_inline = (uint32_t)roll(walk, 2);
    trust.psk = roll(walk, 8) == 0 ? SERVER_SEED : NULL;
    trust.psk_id.data = data(walk);
    trust.psk_id.len = (size_t)roll(walk, 70);
    trust.app_token.data = data(walk);
    trust.app_token.len = (size_t)roll(walk, roll(walk, 8) == 0 ? 520 : 60);
    trust.handshake_timeout_ns = roll(walk, 4) == 0 ? roll(walk, 0) : 0;
    trust.key_ids_len = (size_t)roll(walk, 2);
    error = jsp_endpoint_connect(end, now(walk), &walk->world->address[SERVER],
                                 roll(walk, 16) == 0 ? NULL : &trust, &id);
    if (error == JSP_ERROR_OK) {
        walk->connections[roll(walk, POOL)] = id;
    }
    return error;
}

static JspError walk_open(Walk *walk, JspEndpoint *end)
{
    uint64_t id = 0;
    JspError error;

    make_room(walk, sizeof(JspStreamOptions));
    walk->room.stream.kind = (uint32_t)roll(walk, 4);
    walk->room.stream.uni = (uint32_t)roll(walk, 2);
    error = jsp_stream_open(end, now(walk), pick(walk, walk->connections),
                            roll(walk, 4) == 0 ? NULL : &walk->room.stream, &id);
    if (error == JSP_ERROR_OK) {
        walk->streams[roll(walk, POOL)] = id;
    }
    return error;
}

static JspError walk_send_message(Walk *walk, JspEndpoint *end)
{
    make_room(walk, sizeof(JspMessageOptions));
    walk->room.message.has_mode = (uint32_t)roll(walk, 2);
    walk->room.message.mode = (uint32_t)roll(walk, 4);
    walk->room.message.tracked = (uint32_t)roll(walk, 2);
    walk->room.message.ttl_ns = roll(walk, 4) == 0 ? roll(walk, 0) : roll(walk, SECOND);
    return jsp_stream_send_message(end, now(walk), pick(walk, walk->connections),
                                   pick(walk, walk->streams), data(walk), data_len(walk),
                                   roll(walk, 3) == 0 ? NULL : &walk->room.message, NULL);
}

static JspError walk_poll(Walk *walk, JspEndpoint *end)
{
    JspTransmit transmits[4];
    JspEvent events[4];
    size_t i;
    JspError error;

    make_room(walk, sizeof(JspPoll));
    walk->room.poll.max_segments = (uint32_t)roll(walk, 40);
    walk->room.poll.buffer = data(walk);
    walk->room.poll.buffer_len = data_len(walk);
    walk->room.poll.transmits = roll(walk, 16) == 0 ? NULL : transmits;
    walk->room.poll.transmits_capacity = (size_t)roll(walk, 5);
    walk->room.poll.events = roll(walk, 16) == 0 ? NULL : events;
    walk->room.poll.events_capacity = (size_t)roll(walk, 5);
    error = jsp_endpoint_poll(end, now(walk), &walk->room.poll);
    for (i = 0; error == JSP_ERROR_OK && i < walk->room.poll.transmits_len; i++) {
        CHECK(transmits[i].offset + transmits[i].len <= walk->room.poll.buffer_len);
    }
    return error;
}

static JspError walk_receive(Walk *walk, JspEndpoint *end)
{
    JspDatagram datagrams[2];
    size_t i;

    memset(datagrams, 0, sizeof(datagrams));
    for (i = 0; i < LENGTH(datagrams); i++) {
        datagrams[i].offset = roll(walk, 16) == 0 ? SIZE_MAX - 5 : data_len(walk);
        datagrams[i].len = data_len(walk);
        datagrams[i].stride = data_len(walk);
        datagrams[i].remote = walk->world->address[roll(walk, 2)];
        datagrams[i].remote.family = (uint8_t)(roll(walk, 16) == 0 ? roll(walk, 8) : 4);
        datagrams[i].ecn = (uint8_t)roll(walk, 256);
    }
    return jsp_endpoint_receive(end, now(walk), walk->data, sizeof(walk->data), datagrams,
                                (size_t)roll(walk, 3));
}

static JspError walk_job(Walk *walk, JspEndpoint *end)
{
    JspJob **job = &walk->jobs[roll(walk, POOL)];
    JspError error = JSP_ERROR_OK;

    switch (roll(walk, 4)) {
    case 0:
        jsp_job_free(*job);
        *job = NULL;
        return jsp_endpoint_take_job(end, job);
    case 1:
        return jsp_job_run(*job);
    case 2:
        /* Work of one endpoint may reach the other. */
        error = jsp_endpoint_job_done(end, now(walk), *job);
        *job = error == JSP_ERROR_OK ? NULL : *job;
        return error;
    default:
        if (roll(walk, 8) == 0) {
            jsp_job_free(*job);
            *job = NULL;
        }
        return JSP_ERROR_OK;
    }
}

static JspError walk_incoming(Walk *walk, JspEndpoint *end)
{
    uint64_t client = pick(walk, walk->clients);
    char text[JSP_KEY_ID_TEXT];
    size_t len;

    switch (roll(walk, 8)) {
    case 0:
        make_room(walk, sizeof(JspIncoming));
        return jsp_incoming_info(end, client, &walk->room.incoming);
    case 1:
        return jsp_incoming_key_id(end, client, text);
    case 2:
        return jsp_incoming_key(end, client, data(walk), data_len(walk), &len);
    case 3:
        return jsp_incoming_psk_id(end, client, data(walk), data_len(walk), &len);
    case 4:
        return jsp_incoming_app_token(end, client, data(walk), data_len(walk), &len);
    case 5:
        return roll(walk, 4) == 0 ? jsp_incoming_refuse(end, now(walk), client, roll(walk, 0))
                                  : JSP_ERROR_OK;
    case 6:
        return roll(walk, 4) == 0 ? jsp_incoming_ignore(end, client) : JSP_ERROR_OK;
    default:
        make_room(walk, sizeof(JspAccept));
        walk->room.accept.client_key = NULL;
        walk->room.accept.psk = roll(walk, 2) == 0 ? SERVER_SEED : NULL;
        walk->room.accept.protocol.data = data(walk);
        walk->room.accept.protocol.len = (size_t)roll(walk, 4);
        return jsp_incoming_accept(end, now(walk), client,
                                   roll(walk, 2) == 0 ? NULL : &walk->room.accept);
    }
}

static JspError walk_connection(Walk *walk, JspEndpoint *end)
{
    uint64_t id = pick(walk, walk->connections);
    JspAddress address = walk->world->address[roll(walk, SIDES)];
    size_t len;

    switch (roll(walk, 16)) {
    case 0:
        make_room(walk, sizeof(JspConnInfo));
        return jsp_conn_info(end, id, &walk->room.info);
    case 1:
        make_room(walk, sizeof(JspCloseReason));
        return jsp_conn_close_reason(end, id, &walk->room.reason);
    case 2:
        return jsp_conn_close_text(end, id, (char *)data(walk), data_len(walk), &len);
    case 3:
        return jsp_conn_protocol(end, id, data(walk), data_len(walk), &len);
    case 4:
        return jsp_conn_export_key(end, id, data(walk), data_len(walk), data(walk), data_len(walk),
                                   walk->room.bytes, (size_t)roll(walk, sizeof(walk->room)));
    case 5:
        return jsp_conn_offered_key(end, id, data(walk), data_len(walk), &len);
    case 6:
        return jsp_conn_trust_key(end, now(walk), id);
    case 7:
        return roll(walk, 4) == 0 ? jsp_conn_reject_key(end, now(walk), id) : JSP_ERROR_OK;
    case 10:
        return jsp_conn_set_congestion(end, now(walk), id, (uint32_t)roll(walk, 3));
    case 11:
        return jsp_conn_set_fixed_rate_without_congestion_control(end, now(walk), id,
                                                                  roll(walk, roll(walk, 5)));
    case 12:
        return jsp_conn_set_network(end, now(walk), id, (uint32_t)roll(walk, 5));
    case 13:
        address.family = (uint8_t)roll(walk, 7);
        return jsp_conn_migrate(end, now(walk), id, &address);
    case 14:
        address.family = (uint8_t)roll(walk, 7);
        return jsp_endpoint_rebind(end, now(walk), roll(walk, 2) == 0 ? NULL : &address);
    case 15:
        return jsp_conn_update_keys(end, now(walk), id);
    case 8:
        make_room(walk, sizeof(JspEndpointStats));
        return jsp_endpoint_stats(end, &walk->room.endpoint_stats);
    default:
        make_room(walk, sizeof(JspConnStats));
        return jsp_conn_stats(end, id, &walk->room.conn_stats);
    }
}

static JspError walk_end(Walk *walk, JspEndpoint *end)
{
    uint64_t id = pick(walk, walk->connections);
    uint32_t idle;

    switch (roll(walk, 40)) {
    case 0:
        return jsp_conn_close(end, now(walk), id, roll(walk, 0), data(walk), data_len(walk));
    case 1:
        return jsp_conn_abort(end, now(walk), id, roll(walk, 0), data(walk), data_len(walk));
    case 2:
        return jsp_conn_discard(end, now(walk), id);
    case 3:
        return roll(walk, 20) == 0 ? jsp_endpoint_shutdown(end, now(walk), roll(walk, 0))
                                   : JSP_ERROR_OK;
    default:
        return jsp_endpoint_is_idle(end, &idle);
    }
}

static JspError walk_stream(Walk *walk, JspEndpoint *end)
{
    uint64_t id = pick(walk, walk->connections), stream = pick(walk, walk->streams), capacity;
    size_t len;

    switch (roll(walk, 20)) {
    case 0:
        return jsp_stream_finish(end, now(walk), id, stream);
    case 1:
        return jsp_stream_reset(end, now(walk), id, stream, roll(walk, 0));
    case 2:
        return jsp_stream_stop(end, now(walk), id, stream, roll(walk, 0));
    case 3:
        return jsp_stream_set_priority(end, now(walk), id, stream, (uint32_t)roll(walk, 300));
    case 4:
        return jsp_stream_send_capacity(end, now(walk), id, stream, &capacity);
    case 5:
    case 6:
    case 7:
    case 8:
    case 9:
        return jsp_stream_send(end, now(walk), id, stream, data(walk), data_len(walk), &len);
    case 10:
    case 11:
    case 12:
    case 13:
    case 14:
        return jsp_stream_recv(end, now(walk), id, stream, data(walk), data_len(walk), &len);
    case 15:
        return jsp_stream_set_compression(end, now(walk), id, stream, (uint32_t)roll(walk, 5));
    case 16:
        return jsp_stream_set_fec(end, now(walk), id, stream, (uint32_t)roll(walk, 5),
                                  (uint32_t)roll(walk, 70), (uint32_t)roll(walk, 40));
    default:
        return jsp_stream_recv_message(end, now(walk), id, stream, data(walk), data_len(walk),
                                       &len);
    }
}

static JspError walk_new(Walk *walk, JspEndpoint *end)
{
    JspEndpoint *made = NULL;
    JspError error;

    (void)end;
    make_room(walk, sizeof(JspConfig));
    walk->room.config.server_seed = NULL;
    walk->room.config.protocols = NULL;
    walk->room.config.protocols_len = (size_t)roll(walk, 2);
    walk->room.config.token_key = walk->room.config.reset_key = NULL;
    walk->room.config.token_secret = NULL;
    walk->room.words[3 + roll(walk, sizeof(JspConfig) / 8 - 5)] = 0;
    walk->room.config.idle_timeout_ns = roll(walk, 4) == 0 ? roll(walk, 0) : 0;
    error = jsp_endpoint_new(roll(walk, 8) == 0 ? NULL : &walk->room.config, SERVER_SEED, &made);
    CHECK((error == JSP_ERROR_OK) == (made != NULL));
    jsp_endpoint_free(made);
    return error;
}

/* Remembers the ids of events, so that later calls have some that are good. */
static void remember(Walk *walk)
{
    World *world = walk->world;
    int side;
    size_t i;

    for (side = 0; side < SIDES; side++) {
        for (i = 0; i < world->events_len[side]; i++) {
            const JspEvent *event = &world->events[side][i];
            if (event->kind == JSP_EVENT_INCOMING) {
                walk->clients[roll(walk, POOL)] = event->connection;
            } else if (event->kind == JSP_EVENT_STREAM_OPENED) {
                walk->streams[roll(walk, POOL)] = event->stream;
            } else if (event->kind != JSP_EVENT_CLOSED || roll(walk, 8) == 0) {
                walk->connections[roll(walk, POOL)] = event->connection;
            }
        }
        world->events_len[side] = 0;
    }
}

/* Lets time go by and the network do what networks do to datagrams. */
static void network(Walk *walk)
{
    World *world = walk->world;

    world->max_segments = (uint32_t)roll(walk, 12) + 1;
    world->loses[CLIENT] = roll(walk, 20) == 0;
    world->loses[SERVER] = roll(walk, 20) == 0;
    if (world->packets_len > 0 && roll(walk, 20) == 0) {
        Packet *packet = &world->packets[roll(walk, world->packets_len)];
        packet->data[roll(walk, packet->len)] ^= (uint8_t)(1 << roll(walk, 8));
    }
    world_run(world, roll(walk, 50) == 0 ? 3 * SECOND : roll(walk, 30 * MS));
    remember(walk);
}

static void walk_world(Walk *walk)
{
    settings_init(&walk->settings);
    walk->settings.server.accept = roll(walk, 3) == 0;
    walk->settings.server.key_fetch = (uint32_t)roll(walk, 3);
    walk->settings.server.retry = roll(walk, 3) == 0;
    walk->settings.server.kem = roll(walk, 3) == 0;
    walk->settings.server.client_auth =
        walk->settings.server.accept == JSP_ACCEPT_ASK && roll(walk, 4) == 0;
    walk->settings.server.max_streams = 4 + roll(walk, 10);
    walk->settings.client.send_buffer = 20000 + roll(walk, 100000);
    walk->settings.client.stream_send_buffer = 10000 + roll(walk, 10000);
    walk->world = world_new(&walk->settings);
    walk->world->has_strangers = 1;
    walk->settings.trust.public_key = walk->world->public_key;
}

static void walk_end_world(Walk *walk)
{
    int i;
    for (i = 0; i < POOL; i++) {
        jsp_job_free(walk->jobs[i]);
        walk->jobs[i] = NULL;
    }
    if (roll(walk, 2) == 0) {
        /* The end of time. */
        walk->world->now_ns = JSP_NEVER;
        world_poll(walk->world);
    }
    world_free(walk->world);
}

typedef JspError (*Step)(Walk *, JspEndpoint *);

static void random_walk(unsigned long steps, uint64_t seed)
{
    static const Step kinds[] = {walk_connect,      walk_open,       walk_open,
                                 walk_send_message, walk_poll,       walk_receive,
                                 walk_job,          walk_job,        walk_job,
                                 walk_incoming,     walk_incoming,   walk_incoming,
                                 walk_connection,   walk_connection, walk_end,
                                 walk_stream,       walk_stream,     walk_stream,
                                 walk_stream,       walk_new};
    Walk *walk = calloc(1, sizeof(*walk));
    unsigned long i, seen = 0;

    CHECK(walk != NULL);
    walk->random = seed * 2 + 1;
    walk_world(walk);
    for (i = 0; i < steps; i++) {
        JspEndpoint *end = walk->world->end[roll(walk, 2)];
        JspError error = kinds[roll(walk, LENGTH(kinds))](walk, end);
        if (error > 0 || error < -79 || error == JSP_ERROR_PANIC || error == JSP_ERROR_POISONED) {
            fprintf(stderr, "seed %llu, step %lu: %d (%s)\n", (unsigned long long)seed, i,
                    (int)error, jsp_error_string(error));
            exit(1);
        }
        walk->statuses[-error]++;
        if (roll(walk, 3) == 0) {
            network(walk);
        }
        if (roll(walk, 2000) == 0) {
            /* A machine that slept, for whatever time. */
            walk->world->now_ns += roll(walk, 0) >> roll(walk, 64);
        }
        if (roll(walk, 1000) == 0) {
            walk_end_world(walk);
            walk_world(walk);
        }
    }
    walk_end_world(walk);
    for (i = 0; i < LENGTH(walk->statuses); i++) {
        seen += walk->statuses[i] > 0;
    }
    /* A walk that only ever hears of unknown ids would test nothing. */
    printf("%lu steps, %lu of them good, %lu different statuses\n", steps,
           (unsigned long)walk->statuses[0], seen);
    CHECK(steps < 2000 || (seen >= 15 && walk->statuses[0] > steps / 8));
    free(walk);
}

int main(int argc, char **argv)
{
    unsigned long steps = argc > 1 ? strtoul(argv[1], NULL, 10) : 20000;
    unsigned long seed = argc > 2 ? strtoul(argv[2], NULL, 10) : 1;

    null_handles();
    null_pointers();
    struct_sizes();
    little_room();
    datagrams_outside_the_buffer();
    ids_that_outlived();
    two_threads();
    random_walk(steps, seed);
    return 0;
}
