/*
 * Known answers: keys and their ids, and datagrams that are dropped without an answer. The test
 * around this program makes vectors.h of the files in conformance/vectors.
 */
#include "world.h"

#include <string.h>

typedef struct KeyVector {
    uint8_t seed[JSP_SEED_LEN];
    uint8_t public_key[JSP_PUBLIC_KEY_LEN];
    const char *text;
} KeyVector;

typedef struct TextVector {
    const char *text;
    int is_key_id;
} TextVector;

typedef struct Bytes {
    const uint8_t *bytes;
    size_t len;
} Bytes;

typedef struct DropVector {
    const char *name;
    uint8_t server_seed[JSP_SEED_LEN];
    Bytes datagrams[4];
    size_t datagrams_len;
    const char *reason;
    uint64_t count;
} DropVector;

#include "vectors.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void check_key(const KeyVector *vector)
{
    uint8_t key[JSP_PUBLIC_KEY_LEN];
    char id[JSP_KEY_ID_TEXT];

    CHECK_OK(jsp_public_key(vector->seed, key));
    CHECK(memcmp(key, vector->public_key, sizeof(key)) == 0);
    CHECK_OK(jsp_key_id(key, sizeof(key), id));
    CHECK(strcmp(id, vector->text) == 0);
}

static uint64_t drops(World *world, const char *reason)
{
    JspEndpointStats stats;
    uint64_t count = 0;
    uint32_t i;

    memset(&stats, 0, sizeof(stats));
    stats.size = sizeof(stats);
    CHECK_OK(jsp_endpoint_stats(world->end[SERVER], &stats));
    for (i = 0; i < jsp_drop_reason_count(); i++) {
        if (reason == NULL || strcmp(jsp_drop_reason_name(i), reason) == 0) {
            count += stats.dropped[i];
        }
    }
    return count;
}

/* The datagrams are counted, nobody is answered, and a client that comes later gets in. */
static void check_drop(const DropVector *vector)
{
    JspDatagram datagram;
    uint64_t ids[SIDES];
    uint8_t buffer[2048];
    Settings settings;
    World *world;
    size_t i;

    settings_init(&settings);
    settings.server.server_seed = vector->server_seed;
    world = world_new(&settings);
    for (i = 0; i < vector->datagrams_len; i++) {
        const Bytes *bytes = &vector->datagrams[i];
        CHECK(bytes->len <= sizeof(buffer));
        memcpy(buffer, bytes->bytes, bytes->len);
        memset(&datagram, 0, sizeof(datagram));
        datagram.len = bytes->len;
        CHECK_OK(jsp_address_parse("192.0.2.7:50000", &datagram.remote));
        CHECK_OK(jsp_endpoint_receive(world->end[SERVER], world->now_ns, buffer, bytes->len,
                                      &datagram, 1));
        /* An answer to a stranger would end the test here. */
        world_poll(world);
    }
    if (drops(world, vector->reason) != vector->count || drops(world, NULL) != vector->count) {
        fprintf(stderr, "%s: %d dropped, %d of them as %s\n", vector->name, (int)drops(world, NULL),
                (int)drops(world, vector->reason), vector->reason);
        exit(1);
    }
    CHECK_OK(jsp_public_key(vector->server_seed, world->public_key));
    settings.trust.trust = JSP_TRUST_PINNED;
    settings.trust.public_key = world->public_key;
    world_connect(world, &settings.trust, ids);
    world_free(world);
}

int main(void)
{
    size_t i;

    for (i = 0; i < COUNT(KEYS); i++) {
        check_key(&KEYS[i]);
    }
    for (i = 0; i < COUNT(TEXTS); i++) {
        CHECK_IS(jsp_key_id_check(TEXTS[i].text),
                 TEXTS[i].is_key_id ? JSP_ERROR_OK : JSP_ERROR_INVALID_KEY_ID);
    }
    for (i = 0; i < COUNT(DROPS); i++) {
        check_drop(&DROPS[i]);
    }
    printf("%d keys, %d texts, %d drops\n", (int)COUNT(KEYS), (int)COUNT(TEXTS), (int)COUNT(DROPS));
    return 0;
}
