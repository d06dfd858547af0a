#include "world.h"

#include <string.h>

const uint8_t SERVER_SEED[JSP_SEED_LEN] = {1, 2, 3};
const uint8_t CLIENT_SEED[JSP_SEED_LEN] = {4, 5, 6};

/* More steps than any test takes. */
#define PATIENCE 100000

void settings_init(Settings *settings)
{
    memset(settings, 0, sizeof(*settings));
    settings->client.size = sizeof(settings->client);
    settings->server.size = sizeof(settings->server);
    settings->server.server_seed = SERVER_SEED;
    settings->trust.size = sizeof(settings->trust);
}

World *world_new(const Settings *settings)
{
    static const uint8_t seeds[SIDES][JSP_SEED_LEN] = {{7}, {8}};
    World *world = calloc(1, sizeof(*world));

    CHECK(world != NULL);
    world->now_ns = SECOND;
    world->delay_ns = 10 * MS;
    world->max_segments = 1;
    CHECK_OK(jsp_address_parse("10.0.0.1:1000", &world->address[CLIENT]));
    CHECK_OK(jsp_address_parse("[2001:db8::2]:2000", &world->address[SERVER]));
    CHECK_OK(jsp_endpoint_new(&settings->client, seeds[CLIENT], &world->end[CLIENT]));
    CHECK_OK(jsp_endpoint_new(&settings->server, seeds[SERVER], &world->end[SERVER]));
    CHECK_OK(jsp_public_key(SERVER_SEED, world->public_key));
    CHECK_OK(jsp_key_id(world->public_key, JSP_PUBLIC_KEY_LEN, world->key_id));
    return world;
}

void world_free(World *world)
{
    size_t i;

    for (i = 0; i < world->packets_len; i++) {
        free(world->packets[i].data);
    }
    jsp_endpoint_free(world->end[CLIENT]);
    jsp_endpoint_free(world->end[SERVER]);
    free(world);
}

/* Whether what goes there arrives at a socket of this side. */
static int is_at(const World *world, int side, const JspAddress *address)
{
    return memcmp(address, &world->address[side], sizeof(*address)) == 0 ||
           (side == CLIENT && world->second.family != JSP_FAMILY_NONE &&
            memcmp(address, &world->second, sizeof(*address)) == 0);
}

static void carry(World *world, int from, const uint8_t *buffer, const JspTransmit *transmit)
{
    Packet *packet = &world->packets[world->packets_len];
    int is_for_peer;

    CHECK(transmit->len > 0 && transmit->segment > 0 && transmit->segment <= transmit->len);
    CHECK(world->max_segments > 1 || transmit->segment == transmit->len);
    CHECK(transmit->ecn <= 3 && transmit->offset + transmit->len <= WORLD_BUFFER);
    world->batches += transmit->segment < transmit->len;
    is_for_peer = is_at(world, !from, &transmit->remote);
    CHECK(is_for_peer || world->has_strangers);
    /* A full network loses what is too much, as networks do. */
    if (world->loses[from] || !is_for_peer || world->packets_len == WORLD_PACKETS) {
        return;
    }
    packet->due_ns = world->now_ns + world->delay_ns;
    packet->to = !from;
    /* A program with one socket need not know its address. */
    packet->remote = transmit->local.family ? transmit->local : world->address[from];
    memset(&packet->local, 0, sizeof(packet->local));
    if (from == SERVER && world->second.family != JSP_FAMILY_NONE) {
        packet->local = transmit->remote;
    }
    CHECK(is_at(world, from, &packet->remote) || world->has_strangers);
    packet->len = transmit->len;
    packet->stride = transmit->segment;
    packet->data = malloc(transmit->len);
    CHECK(packet->data != NULL);
    memcpy(packet->data, buffer + transmit->offset, transmit->len);
    world->packets_len++;
}

/* One call. Returns whether it brought something. */
static int poll_side(World *world, int side)
{
    JspTransmit transmits[8];
    JspPoll out;
    size_t i;

    memset(&out, 0, sizeof(out));
    out.size = sizeof(out);
    out.max_segments = world->max_segments;
    out.buffer = world->buffer;
    out.buffer_len = WORLD_BUFFER;
    out.transmits = transmits;
    out.transmits_capacity = sizeof(transmits) / sizeof(transmits[0]);
    out.events = world->events[side] + world->events_len[side];
    out.events_capacity = WORLD_EVENTS - world->events_len[side];
    CHECK_OK(jsp_endpoint_poll(world->end[side], world->now_ns, &out));
    CHECK(out.size == sizeof(out) && out.transmits_len <= out.transmits_capacity);
    for (i = 0; i < out.transmits_len; i++) {
        carry(world, side, world->buffer, &transmits[i]);
    }
    world->events_len[side] += out.events_len;
    CHECK(world->events_len[side] < WORLD_EVENTS);
    CHECK(out.more == 0 || out.wake_at_ns <= world->now_ns);
    world->wake_ns[side] = out.wake_at_ns;
    return out.more != 0;
}

void world_poll(World *world)
{
    int side;
    for (side = 0; side < SIDES; side++) {
        int rounds = 0;
        /* The end of a connection ends a round: what it left can be asked for before the next. */
        while (poll_side(world, side) && rounds < PATIENCE) {
            if (world->events_len[side] > 0 &&
                world->events[side][world->events_len[side] - 1].kind == JSP_EVENT_CLOSED) {
                world->wake_ns[side] = world->now_ns;
                break;
            }
            rounds++;
        }
        CHECK(rounds < PATIENCE);
    }
}

void world_deliver(World *world)
{
    Packet packet = world->packets[0];
    JspDatagram datagram;

    world->packets_len--;
    memmove(world->packets, world->packets + 1, world->packets_len * sizeof(packet));
    memset(&datagram, 0, sizeof(datagram));
    datagram.len = packet.len;
    datagram.stride = packet.stride;
    datagram.remote = packet.remote;
    datagram.local = packet.local;
    CHECK_OK(jsp_endpoint_receive(world->end[packet.to], world->now_ns, packet.data, packet.len,
                                  &datagram, 1));
    free(packet.data);
}

int world_step(World *world, uint64_t until_ns)
{
    uint64_t next;
    int side;

    world_poll(world);
    next = world->packets_len > 0 ? world->packets[0].due_ns : JSP_NEVER;
    for (side = 0; side < SIDES; side++) {
        next = world->wake_ns[side] < next ? world->wake_ns[side] : next;
    }
    if (next == JSP_NEVER || next > until_ns) {
        return 0;
    }
    world->now_ns = next > world->now_ns ? next : world->now_ns;
    while (world->packets_len > 0 && world->packets[0].due_ns <= world->now_ns) {
        world_deliver(world);
    }
    return 1;
}

void world_run(World *world, uint64_t for_ns)
{
    uint64_t until_ns = world->now_ns + for_ns;
    while (world_step(world, until_ns)) {
    }
    world->now_ns = until_ns;
    world_poll(world);
}

int world_take(World *world, int side, uint32_t kind, JspEvent *event)
{
    JspEvent *events = world->events[side];
    size_t i, *len = &world->events_len[side];

    for (i = 0; i < *len; i++) {
        if (events[i].kind == kind) {
            *event = events[i];
            *len -= 1;
            memmove(events + i, events + i + 1, (*len - i) * sizeof(*events));
            return 1;
        }
    }
    return 0;
}

JspEvent world_await_at(World *world, int side, uint32_t kind, const char *file, int line)
{
    JspEvent event;
    int steps;

    for (steps = 0; steps < PATIENCE; steps++) {
        if (world_take(world, side, kind, &event)) {
            return event;
        }
        if (!world_step(world, JSP_NEVER - 1)) {
            break;
        }
    }
    if (world_take(world, side, kind, &event)) {
        return event;
    }
    fprintf(stderr, "%s:%d: no event %u on side %d\n", file, line, (unsigned)kind, side);
    exit(1);
}

void world_connect(World *world, const JspClientConfig *trust, uint64_t ids[SIDES])
{
    CHECK_OK(jsp_endpoint_connect(world->end[CLIENT], world->now_ns, &world->address[SERVER],
                                  trust, &ids[CLIENT]));
    CHECK(world_await(world, CLIENT, JSP_EVENT_CONNECTED).connection == ids[CLIENT]);
    ids[SERVER] = world_await(world, SERVER, JSP_EVENT_CONNECTED).connection;
    world_await(world, CLIENT, JSP_EVENT_HANDSHAKE_CONFIRMED);
    world_await(world, SERVER, JSP_EVENT_HANDSHAKE_CONFIRMED);
}

uint64_t world_open(World *world, const uint64_t ids[SIDES], const JspStreamOptions *options)
{
    uint64_t stream = 0;
    JspEvent event;

    CHECK_OK(jsp_stream_open(world->end[CLIENT], world->now_ns, ids[CLIENT], options, &stream));
    event = world_await(world, SERVER, JSP_EVENT_STREAM_OPENED);
    CHECK(event.connection == ids[SERVER] && event.stream == stream);
    return stream;
}
