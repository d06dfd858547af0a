/*
 * Two endpoints in one process. Datagrams are carried in memory and time is a number: a test
 * of ten seconds takes none and every run is the same.
 */
#ifndef WORLD_H
#define WORLD_H

#include <jsp.h>

#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

/* Checks a status and says which it was. */
#define CHECK_IS(call, expected)                                                                   \
    do {                                                                                           \
        JspError check_got = (call);                                                               \
        if (check_got != (expected)) {                                                             \
            fprintf(stderr, "%s:%d: %s: %s is %d (%s), not %s\n", __FILE__, __LINE__, __func__,    \
                    #call, (int)check_got, jsp_error_string(check_got), #expected);                \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

#define CHECK_OK(call) CHECK_IS(call, JSP_ERROR_OK)

#define MS 1000000u
#define SECOND (1000u * (uint64_t)MS)

enum { CLIENT, SERVER, SIDES };

#define WORLD_PACKETS 512
#define WORLD_EVENTS 4096
#define WORLD_BUFFER 65536

/* What one call gave out at once: one datagram, or several of one size. */
typedef struct Packet {
    uint64_t due_ns;
    int to;
    /* From where, and to which address. */
    JspAddress remote;
    JspAddress local;
    size_t len;
    size_t stride;
    uint8_t *data;
} Packet;

typedef struct World {
    JspEndpoint *end[SIDES];
    JspAddress address[SIDES];
    /* The client's second socket, if it has one. */
    JspAddress second;
    uint64_t wake_ns[SIDES];
    uint64_t now_ns;
    uint64_t delay_ns;
    /* The most datagrams in one transmit. */
    uint32_t max_segments;
    /* Whether what this side sends is lost. */
    int loses[SIDES];
    /* Whether the test gives the endpoints datagrams that come from elsewhere. */
    int has_strangers;
    /* Transmits of several datagrams so far. */
    uint64_t batches;
    Packet packets[WORLD_PACKETS];
    size_t packets_len;
    /* Events that no test has taken yet, in their order. */
    JspEvent events[SIDES][WORLD_EVENTS];
    size_t events_len[SIDES];
    uint8_t buffer[WORLD_BUFFER];
    uint8_t public_key[JSP_PUBLIC_KEY_LEN];
    char key_id[JSP_KEY_ID_TEXT];
} World;

/* The settings of both sides; a test changes what it is about. */
typedef struct Settings {
    JspConfig client;
    JspConfig server;
    JspClientConfig trust;
} Settings;

extern const uint8_t SERVER_SEED[JSP_SEED_LEN];
extern const uint8_t CLIENT_SEED[JSP_SEED_LEN];

void settings_init(Settings *settings);

World *world_new(const Settings *settings);
void world_free(World *world);

/* Takes everything out of both endpoints, without any time going by. */
void world_poll(World *world);

/* Gives the oldest datagram to whom it is for, whatever the time. There must be one. */
void world_deliver(World *world);

/* Goes on to the next datagram or timeout, if there is one before `until_ns`. */
int world_step(World *world, uint64_t until_ns);

/* Goes on for a time. */
void world_run(World *world, uint64_t for_ns);

/* Takes the first event of a kind, if there is one. */
int world_take(World *world, int side, uint32_t kind, JspEvent *event);

/* Goes on until there is an event of that kind, and takes it. Fails the test if none comes. */
JspEvent world_await_at(World *world, int side, uint32_t kind, const char *file, int line);
#define world_await(world, side, kind) world_await_at(world, side, kind, __FILE__, __LINE__)

/* Connects with `trust`, which must succeed; `ids` are both sides' ids of the connection. */
void world_connect(World *world, const JspClientConfig *trust, uint64_t ids[SIDES]);

/* Opens a stream of the client's connection that the server learns of. */
uint64_t world_open(World *world, const uint64_t ids[SIDES], const JspStreamOptions *options);

#endif
