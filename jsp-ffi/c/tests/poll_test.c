/*
 * The polling interface as a program uses it. Without an argument all tests run, otherwise those
 * whose names contain it.
 */
#include "world.h"

#include <string.h>

#include <jsp_socket.h>

#define TEXT(text) ((const uint8_t *)(text)), (sizeof(text) - 1)

static JspStreamOptions stream_options(uint32_t kind)
{
    JspStreamOptions options;
    memset(&options, 0, sizeof(options));
    options.size = sizeof(options);
    options.kind = kind;
    return options;
}

static void trust_pinned(Settings *settings, const World *world)
{
    settings->trust.trust = JSP_TRUST_PINNED;
    settings->trust.public_key = world->public_key;
}

/* A world with a connection, as most tests want it. */
static World *connected(Settings *settings, uint64_t ids[SIDES])
{
    World *world = world_new(settings);
    trust_pinned(settings, world);
    world_connect(world, &settings->trust, ids);
    return world;
}

static JspCloseReason close_reason(World *world, int side, uint64_t id)
{
    JspCloseReason reason;
    char text[640];
    size_t len = 0;

    memset(&reason, 0, sizeof(reason));
    reason.size = sizeof(reason);
    CHECK_OK(jsp_conn_close_reason(world->end[side], id, &reason));
    CHECK(reason.size == sizeof(reason));
    CHECK_OK(jsp_conn_close_text(world->end[side], id, text, sizeof(text), &len));
    CHECK(len > 0 && strlen(text) == len);
    return reason;
}

static JspConnInfo conn_info(World *world, int side, uint64_t id)
{
    JspConnInfo info;
    memset(&info, 0, sizeof(info));
    info.size = sizeof(info);
    CHECK_OK(jsp_conn_info(world->end[side], id, &info));
    return info;
}

static JspEndpointStats endpoint_stats(World *world, int side)
{
    JspEndpointStats stats;
    memset(&stats, 0, sizeof(stats));
    stats.size = sizeof(stats);
    CHECK_OK(jsp_endpoint_stats(world->end[side], &stats));
    return stats;
}

/* ---- keys and addresses */

static void test_addresses(void)
{
    static const char *const texts[] = {"127.0.0.1:4433", "[::1]:1", "[fe80::1%7]:65535"};
    char text[JSP_ADDRESS_TEXT];
    struct sockaddr_storage storage;
    struct sockaddr *any = (struct sockaddr *)&storage;
    JspAddress address, back;
    socklen_t len;
    size_t i;

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        CHECK_OK(jsp_address_parse(texts[i], &address));
        CHECK_OK(jsp_address_format(&address, text));
        CHECK(strcmp(text, texts[i]) == 0);
        CHECK_OK(jsp_address_to_sockaddr(&address, AF_UNSPEC, &storage, &len));
        CHECK_OK(jsp_address_from_sockaddr(any, len, &back));
        CHECK(memcmp(&address, &back, sizeof(address)) == 0);
        CHECK_IS(jsp_address_from_sockaddr(any, len - 1, &back), JSP_ERROR_ADDRESS);
    }
    CHECK_IS(jsp_address_to_sockaddr(&address, AF_INET, &storage, &len), JSP_ERROR_ADDRESS);
    CHECK_OK(jsp_address_parse("192.0.2.1:5", &address));
    CHECK_OK(jsp_address_to_sockaddr(&address, AF_INET6, &storage, &len));
    CHECK(len == sizeof(struct sockaddr_in6));
    CHECK_OK(jsp_address_from_sockaddr(any, len, &back));
    CHECK_OK(jsp_address_format(&back, text));
    CHECK(strcmp(text, "192.0.2.1:5") == 0);

    storage.ss_family = AF_UNIX;
    CHECK_IS(jsp_address_from_sockaddr(any, sizeof(storage), &back), JSP_ERROR_ADDRESS);
    CHECK_IS(jsp_address_from_sockaddr(any, 0, &back), JSP_ERROR_ADDRESS);
    CHECK_IS(jsp_address_from_sockaddr(NULL, len, &back), JSP_ERROR_NULL);
    memset(&address, 0, sizeof(address));
    CHECK_IS(jsp_address_to_sockaddr(&address, AF_UNSPEC, &storage, &len), JSP_ERROR_ADDRESS);
    CHECK_IS(jsp_address_format(&address, text), JSP_ERROR_INVALID_ARGUMENT);
    CHECK_IS(jsp_address_parse("localhost:1", &address), JSP_ERROR_ADDRESS);
    CHECK_IS(jsp_address_parse("127.0.0.1", &address), JSP_ERROR_ADDRESS);
}

static void test_keys_and_versions(void)
{
    uint8_t random[100], zero[100], key[JSP_PUBLIC_KEY_LEN];
    char id[JSP_KEY_ID_TEXT];
    uint32_t i;

    memset(random, 0, sizeof(random));
    memset(zero, 0, sizeof(zero));
    CHECK_OK(jsp_random(random, sizeof(random)));
    CHECK(memcmp(random, zero, 50) != 0 && memcmp(random + 50, zero, 50) != 0);
    CHECK_OK(jsp_public_key(SERVER_SEED, key));
    CHECK_OK(jsp_key_id(key, sizeof(key), id));
    CHECK(strlen(id) == JSP_KEY_ID_TEXT - 1 && strncmp(id, "jsp1-", 5) == 0);
    CHECK_OK(jsp_key_id_check(id));
    id[10] = id[10] == 'a' ? 'b' : 'a';
    CHECK_IS(jsp_key_id_check("jsp1-short"), JSP_ERROR_INVALID_KEY_ID);
    CHECK_IS(jsp_key_id(key, sizeof(key) - 1, id), JSP_ERROR_INVALID_KEY);
    CHECK(jsp_abi_version() == JSP_ABI_VERSION);
    CHECK_OK(jsp_abi_check(JSP_ABI_VERSION));
    CHECK_IS(jsp_abi_check(JSP_ABI_VERSION + 1), JSP_ERROR_ABI);
    CHECK(strchr(jsp_version(), '.') != NULL);
    CHECK(jsp_drop_reason_name(0) != NULL);
    CHECK(jsp_drop_reason_count() <= JSP_DROP_REASONS);
    for (i = 0; i < jsp_drop_reason_count(); i++) {
        CHECK(jsp_drop_reason_name(i) != NULL);
    }
    CHECK(jsp_drop_reason_name(i) == NULL);
    CHECK(jsp_drop_reason_name(UINT32_MAX) == NULL);
}

/* ---- handshakes */

static void test_pinned_key(void)
{
    Settings settings;
    uint64_t ids[SIDES];
    World *world;
    JspConnInfo info;
    uint8_t protocol[8];
    size_t len = 0;

    settings_init(&settings);
    world = connected(&settings, ids);
    info = conn_info(world, CLIENT, ids[CLIENT]);
    CHECK(info.is_connected == 1 && info.is_server == 0 && info.is_closed == 0);
    CHECK(strcmp(info.peer_key_id, world->key_id) == 0);
    CHECK(memcmp(&info.remote, &world->address[SERVER], sizeof(info.remote)) == 0);
    CHECK(info.max_message_size == 65536);
    info = conn_info(world, SERVER, ids[SERVER]);
    CHECK(info.is_connected == 1 && info.is_server == 1 && info.peer_key_id[0] == '\0');
    CHECK(memcmp(&info.remote, &world->address[CLIENT], sizeof(info.remote)) == 0);
    CHECK_OK(jsp_conn_protocol(world->end[CLIENT], ids[CLIENT], protocol, 8, &len));
    CHECK(len == 3 && memcmp(protocol, "jsp", 3) == 0);
    CHECK_IS(jsp_conn_offered_key(world->end[CLIENT], ids[CLIENT], NULL, 0, &len),
             JSP_ERROR_WRONG_STATE);
    world_free(world);
}

static void test_key_ids(void)
{
    Settings settings;
    uint64_t ids[SIDES];
    uint8_t other_key[JSP_PUBLIC_KEY_LEN];
    char other[JSP_KEY_ID_TEXT];
    const char *known[2];
    World *world;

    settings_init(&settings);
    world = world_new(&settings);
    CHECK_OK(jsp_public_key(CLIENT_SEED, other_key));
    CHECK_OK(jsp_key_id(other_key, sizeof(other_key), other));
    known[0] = other;
    known[1] = world->key_id;
    settings.trust.trust = JSP_TRUST_KEY_IDS;
    settings.trust.key_ids = known;
    settings.trust.key_ids_len = 2;
    world_connect(world, &settings.trust, ids);
    CHECK(strcmp(conn_info(world, CLIENT, ids[CLIENT]).peer_key_id, world->key_id) == 0);
    CHECK(endpoint_stats(world, SERVER).key_infos_sent == 1);

    known[1] = "jsp1-nonsense";
    CHECK_IS(jsp_endpoint_connect(world->end[CLIENT], world->now_ns, &world->address[SERVER],
                                  &settings.trust, &ids[CLIENT]),
             JSP_ERROR_INVALID_KEY_ID);
    world_free(world);
}

static void ask(World *world, Settings *settings, uint64_t *id)
{
    uint8_t key[JSP_PUBLIC_KEY_LEN];
    size_t len = 0;

    settings->trust.trust = JSP_TRUST_ASK;
    CHECK_OK(jsp_endpoint_connect(world->end[CLIENT], world->now_ns, &world->address[SERVER],
                                  &settings->trust, id));
    CHECK_IS(jsp_conn_trust_key(world->end[CLIENT], world->now_ns, *id), JSP_ERROR_WRONG_STATE);
    CHECK(world_await(world, CLIENT, JSP_EVENT_SERVER_KEY_OFFERED).connection == *id);
    CHECK_IS(jsp_conn_offered_key(world->end[CLIENT], *id, key, 5, &len),
             JSP_ERROR_BUFFER_TOO_SMALL);
    CHECK(len == sizeof(key));
    CHECK_OK(jsp_conn_offered_key(world->end[CLIENT], *id, key, sizeof(key), &len));
    CHECK(memcmp(key, world->public_key, sizeof(key)) == 0);
}

static void test_ask_for_trust(void)
{
    Settings settings;
    World *world;
    uint64_t id;

    settings_init(&settings);
    settings.server.key_fetch = JSP_KEY_FETCH_OPEN;
    world = world_new(&settings);
    ask(world, &settings, &id);
    CHECK_OK(jsp_conn_trust_key(world->end[CLIENT], world->now_ns, id));
    world_await(world, CLIENT, JSP_EVENT_CONNECTED);
    world_await(world, SERVER, JSP_EVENT_CONNECTED);
    ask(world, &settings, &id);
    CHECK_OK(jsp_conn_reject_key(world->end[CLIENT], world->now_ns, id));
    CHECK(world_await(world, CLIENT, JSP_EVENT_CLOSED).connection == id);
    CHECK(close_reason(world, CLIENT, id).error == JSP_ERROR_KEY_REJECTED);
    world_free(world);
}

/* Begins a connection that ends before it was established. */
static JspCloseReason failed(World *world, const Settings *settings)
{
    uint64_t id;
    CHECK_OK(jsp_endpoint_connect(world->end[CLIENT], world->now_ns, &world->address[SERVER],
                                  &settings->trust, &id));
    CHECK(world_await(world, CLIENT, JSP_EVENT_CLOSED).connection == id);
    return close_reason(world, CLIENT, id);
}

static void test_wrong_keys(void)
{
    Settings settings;
    uint8_t key[JSP_PUBLIC_KEY_LEN];
    char id[JSP_KEY_ID_TEXT];
    const char *ids = id;
    JspCloseReason reason;
    World *world;
    uint64_t connection;

    settings_init(&settings);
    settings.server.key_fetch = JSP_KEY_FETCH_OPEN;
    world = world_new(&settings);
    CHECK_OK(jsp_public_key(CLIENT_SEED, key));
    CHECK_OK(jsp_key_id(key, sizeof(key), id));
    settings.trust.trust = JSP_TRUST_KEY_IDS;
    settings.trust.key_ids = &ids;
    settings.trust.key_ids_len = 1;
    reason = failed(world, &settings);
    CHECK(reason.error == JSP_ERROR_KEY_MISMATCH);
    CHECK(strcmp(reason.expected_key_id, id) == 0);
    CHECK(strcmp(reason.found_key_id, world->key_id) == 0);

    memset(key, 0xff, sizeof(key));
    settings.trust.trust = JSP_TRUST_PINNED;
    settings.trust.public_key = key;
    CHECK_IS(jsp_endpoint_connect(world->end[CLIENT], world->now_ns, &world->address[SERVER],
                                  &settings.trust, &connection),
             JSP_ERROR_INVALID_KEY);
    settings.trust.trust = JSP_TRUST_LOOPBACK_ONLY;
    CHECK_IS(jsp_endpoint_connect(world->end[CLIENT], world->now_ns, &world->address[SERVER],
                                  &settings.trust, &connection),
             JSP_ERROR_TRUST_REQUIRED);
    world_free(world);
}

static void test_no_answer(void)
{
    Settings settings;
    World *world;
    uint64_t begin;

    settings_init(&settings);
    world = world_new(&settings);
    trust_pinned(&settings, world);
    settings.trust.handshake_timeout_ns = 3 * SECOND;
    world->loses[SERVER] = 1;
    begin = world->now_ns;
    CHECK(failed(world, &settings).error == JSP_ERROR_NO_ANSWER);
    CHECK(world->now_ns == begin + 3 * SECOND);
    world_free(world);
}

static void test_retry(void)
{
    Settings settings;
    uint64_t ids[SIDES];
    World *world;

    settings_init(&settings);
    settings.server.retry = JSP_RETRY_ALWAYS;
    settings.server.unix_time_at_origin = 1700000000;
    world = connected(&settings, ids);
    CHECK(endpoint_stats(world, SERVER).retries_sent == 1);
    world_free(world);
}

static void test_protocols(void)
{
    static const JspBytes speaks[2] = {{TEXT("chat/2")}, {TEXT("chat/1")}};
    static const JspBytes wants[1] = {{TEXT("chat/1")}};
    static const JspBytes unknown[1] = {{TEXT("mail")}};
    uint8_t protocol[6] = "";
    Settings settings;
    uint64_t ids[SIDES];
    World *world;
    size_t len = 0;
    int side;

    settings_init(&settings);
    settings.server.protocols = speaks;
    settings.server.protocols_len = 2;
    settings.trust.protocols = wants;
    settings.trust.protocols_len = 1;
    world = connected(&settings, ids);
    for (side = 0; side < SIDES; side++) {
        CHECK_IS(jsp_conn_protocol(world->end[side], ids[side], protocol, 5, &len),
                 JSP_ERROR_BUFFER_TOO_SMALL);
        CHECK(len == 6 && protocol[0] == (side == 0 ? 0 : 'c'));
        CHECK_OK(jsp_conn_protocol(world->end[side], ids[side], protocol, 6, &len));
        CHECK(len == 6 && memcmp(protocol, "chat/1", 6) == 0);
    }
    settings.trust.protocols = unknown;
    CHECK(failed(world, &settings).error == JSP_ERROR_REFUSED);
    world_free(world);
}

/* ---- who is let in */

static uint64_t knock(World *world, const Settings *settings, uint64_t *id)
{
    JspEvent event;
    CHECK_OK(jsp_endpoint_connect(world->end[CLIENT], world->now_ns, &world->address[SERVER],
                                  &settings->trust, id));
    event = world_await(world, SERVER, JSP_EVENT_INCOMING);
    return event.connection;
}

static JspIncoming incoming_info(World *world, uint64_t client)
{
    JspIncoming info;
    memset(&info, 0, sizeof(info));
    info.size = sizeof(info);
    CHECK_OK(jsp_incoming_info(world->end[SERVER], client, &info));
    return info;
}

static void test_refusal(void)
{
    Settings settings;
    JspCloseReason reason;
    JspIncoming info;
    uint64_t id, client;
    uint8_t token[8] = "";
    size_t len = 0;
    World *world;

    settings_init(&settings);
    settings.server.accept = JSP_ACCEPT_ASK;
    world = world_new(&settings);
    trust_pinned(&settings, world);
    settings.trust.app_token.data = (const uint8_t *)"ticket";
    settings.trust.app_token.len = 6;
    client = knock(world, &settings, &id);
    info = incoming_info(world, client);
    CHECK(info.has_key_id == 0 && info.has_key == 0 && info.psk_id_len == 0);
    CHECK(info.app_token_len == 6 && info.is_validated == 0);
    CHECK(memcmp(&info.remote, &world->address[CLIENT], sizeof(info.remote)) == 0);
    CHECK_IS(jsp_incoming_app_token(world->end[SERVER], client, token, 5, &len),
             JSP_ERROR_BUFFER_TOO_SMALL);
    CHECK(len == 6 && token[0] == 0);
    CHECK_OK(jsp_incoming_app_token(world->end[SERVER], client, token, 6, &len));
    CHECK(len == 6 && memcmp(token, "ticket", 6) == 0);
    CHECK_IS(jsp_incoming_key(world->end[SERVER], client, token, 8, &len), JSP_ERROR_WRONG_STATE);
    CHECK_IS(jsp_incoming_psk_id(world->end[SERVER], client, token, 8, &len),
             JSP_ERROR_WRONG_STATE);
    CHECK_OK(jsp_incoming_refuse(world->end[SERVER], world->now_ns, client, 77));
    CHECK_IS(jsp_incoming_refuse(world->end[SERVER], world->now_ns, client, 77),
             JSP_ERROR_INCOMING_GONE);
    CHECK_IS(jsp_incoming_accept(world->end[SERVER], world->now_ns, client, NULL),
             JSP_ERROR_INCOMING_GONE);
    CHECK_IS(jsp_incoming_info(world->end[SERVER], client, &info), JSP_ERROR_INCOMING_GONE);
    CHECK(world_await(world, CLIENT, JSP_EVENT_CLOSED).connection == id);
    reason = close_reason(world, CLIENT, id);
    CHECK(reason.error == JSP_ERROR_REFUSED && reason.code == 77);
    CHECK(endpoint_stats(world, SERVER).handshakes_refused == 1);

    client = knock(world, &settings, &id);
    CHECK_OK(jsp_incoming_ignore(world->end[SERVER], client));
    CHECK(world_await(world, CLIENT, JSP_EVENT_CLOSED).connection == id);
    CHECK(close_reason(world, CLIENT, id).error == JSP_ERROR_NO_ANSWER);
    world_free(world);
}

static void test_pre_shared_key(void)
{
    static const uint8_t psk[32] = {9, 9, 9};
    Settings settings;
    JspAccept accept;
    uint64_t id, client;
    uint8_t psk_id[8];
    size_t len = 0;
    World *world;

    settings_init(&settings);
    settings.server.accept = JSP_ACCEPT_ASK;
    settings.server.client_auth = JSP_CLIENT_AUTH_REQUIRED;
    world = world_new(&settings);
    trust_pinned(&settings, world);
    settings.trust.psk = psk;
    settings.trust.psk_id.data = (const uint8_t *)"me";
    settings.trust.psk_id.len = 2;
    client = knock(world, &settings, &id);
    CHECK(incoming_info(world, client).psk_id_len == 2);
    CHECK_OK(jsp_incoming_psk_id(world->end[SERVER], client, psk_id, sizeof(psk_id), &len));
    CHECK(len == 2 && memcmp(psk_id, "me", 2) == 0);
    memset(&accept, 0, sizeof(accept));
    accept.size = sizeof(accept);
    accept.psk = psk;
    CHECK_OK(jsp_incoming_accept(world->end[SERVER], world->now_ns, client, &accept));
    world_await(world, CLIENT, JSP_EVENT_CONNECTED);
    world_await(world, SERVER, JSP_EVENT_PEER_AUTHENTICATED);
    world_free(world);
}

/* Silence, because whoever does not know the key shall learn nothing. */
static void test_wrong_pre_shared_key(void)
{
    static const uint8_t psk[32] = {9, 9, 9}, other[32] = {9, 9, 8};
    Settings settings;
    JspAccept accept;
    JspEvent event;
    uint64_t id, client;
    World *world;

    settings_init(&settings);
    settings.server.accept = JSP_ACCEPT_ASK;
    world = world_new(&settings);
    trust_pinned(&settings, world);
    settings.trust.psk = psk;
    settings.trust.psk_id.data = (const uint8_t *)"me";
    settings.trust.psk_id.len = 2;
    client = knock(world, &settings, &id);
    memset(&accept, 0, sizeof(accept));
    accept.size = sizeof(accept);
    accept.psk = other;
    CHECK_OK(jsp_incoming_accept(world->end[SERVER], world->now_ns, client, &accept));
    CHECK(world_await(world, CLIENT, JSP_EVENT_CLOSED).connection == id);
    CHECK(close_reason(world, CLIENT, id).error == JSP_ERROR_NO_ANSWER);
    CHECK(!world_take(world, SERVER, JSP_EVENT_CONNECTED, &event));
    CHECK(!world_take(world, SERVER, JSP_EVENT_PEER_AUTHENTICATED, &event));
    world_free(world);
}

static void test_identity(void)
{
    Settings settings;
    uint8_t key[JSP_PUBLIC_KEY_LEN], expected[JSP_PUBLIC_KEY_LEN];
    char key_id[JSP_KEY_ID_TEXT], expected_id[JSP_KEY_ID_TEXT];
    JspAccept accept;
    uint64_t id, client;
    size_t len = 0;
    World *world;
    JspEvent event;

    settings_init(&settings);
    settings.server.accept = JSP_ACCEPT_ASK;
    world = world_new(&settings);
    trust_pinned(&settings, world);
    settings.trust.identity_seed = CLIENT_SEED;
    settings.trust.identity_inline = 1;
    CHECK_OK(jsp_public_key(CLIENT_SEED, expected));
    CHECK_OK(jsp_key_id(expected, sizeof(expected), expected_id));
    client = knock(world, &settings, &id);
    CHECK(incoming_info(world, client).has_key_id == 1);
    CHECK(incoming_info(world, client).has_key == 1);
    CHECK_OK(jsp_incoming_key_id(world->end[SERVER], client, key_id));
    CHECK(strcmp(key_id, expected_id) == 0);
    CHECK_OK(jsp_incoming_key(world->end[SERVER], client, key, sizeof(key), &len));
    CHECK(len == sizeof(key) && memcmp(key, expected, sizeof(key)) == 0);
    memset(&accept, 0, sizeof(accept));
    accept.size = sizeof(accept);
    accept.client_key = key;
    CHECK_OK(jsp_incoming_accept(world->end[SERVER], world->now_ns, client, &accept));
    event = world_await(world, SERVER, JSP_EVENT_PEER_AUTHENTICATED);
    CHECK(strcmp(conn_info(world, SERVER, event.connection).peer_key_id, expected_id) == 0);
    world_free(world);
}

/* Runs all work that a side hands out; returns how much it was. */
static int run_jobs(World *world, int side)
{
    JspJob *job = NULL;
    JspError error;
    int count = 0;

    while ((error = jsp_endpoint_take_job(world->end[side], &job)) == JSP_ERROR_OK) {
        CHECK_IS(jsp_endpoint_job_done(world->end[side], world->now_ns, job),
                 JSP_ERROR_WRONG_STATE);
        CHECK_OK(jsp_job_run(job));
        CHECK_OK(jsp_job_run(job));
        CHECK_OK(jsp_endpoint_job_done(world->end[side], world->now_ns, job));
        count++;
    }
    CHECK_IS(error, JSP_ERROR_WOULD_BLOCK);
    return count;
}

static void test_jobs_handed_out(void)
{
    Settings settings;
    JspEvent event;
    JspJob *job = NULL;
    uint64_t id;
    World *world;
    int jobs[SIDES] = {0, 0}, freed = 0, steps;

    settings_init(&settings);
    settings.client.kem = JSP_KEM_HANDED_OUT;
    settings.server.kem = JSP_KEM_HANDED_OUT;
    world = world_new(&settings);
    trust_pinned(&settings, world);
    settings.trust.handshake_timeout_ns = SECOND;
    CHECK_OK(jsp_endpoint_connect(world->end[CLIENT], world->now_ns, &world->address[SERVER],
                                  &settings.trust, &id));
    for (steps = 0; steps < 100 && !world_take(world, CLIENT, JSP_EVENT_CONNECTED, &event);
         steps++) {
        jobs[CLIENT] += run_jobs(world, CLIENT);
        jobs[SERVER] += run_jobs(world, SERVER);
        world_step(world, JSP_NEVER - 1);
    }
    /* A client has little to compute and does it inside the calls. */
    CHECK(steps < 100 && jobs[SERVER] > 0);

    /* Work that is freed ends the handshake it belongs to, and nothing else. */
    CHECK_OK(jsp_endpoint_connect(world->end[CLIENT], world->now_ns, &world->address[SERVER],
                                  &settings.trust, &id));
    for (steps = 0; steps < 100 && !world_take(world, CLIENT, JSP_EVENT_CLOSED, &event); steps++) {
        while (jsp_endpoint_take_job(world->end[SERVER], &job) == JSP_ERROR_OK) {
            freed++;
            jsp_job_free(job);
        }
        world_step(world, JSP_NEVER - 1);
    }
    CHECK(freed > 0 && event.connection == id);
    CHECK(close_reason(world, CLIENT, id).error == JSP_ERROR_NO_ANSWER);
    world_free(world);
}

/* ---- streams */

static uint8_t byte_at(size_t position)
{
    return (uint8_t)(position * 7 % 251);
}

/* Writes until the stream blocks or everything is written and finished. */
static void write_bytes(World *world, uint64_t id, uint64_t stream, size_t *sent, size_t total)
{
    static uint8_t piece[50000];
    JspError error = JSP_ERROR_OK;

    while (*sent < total && error == JSP_ERROR_OK) {
        size_t i, len = 0, want = total - *sent;
        want = want < sizeof(piece) ? want : sizeof(piece);
        for (i = 0; i < want; i++) {
            piece[i] = byte_at(*sent + i);
        }
        error = jsp_stream_send(world->end[CLIENT], world->now_ns, id, stream, piece, want, &len);
        CHECK(error == JSP_ERROR_WOULD_BLOCK || (error == JSP_ERROR_OK && len > 0 && len <= want));
        *sent += len;
    }
    if (*sent == total) {
        CHECK_OK(jsp_stream_finish(world->end[CLIENT], world->now_ns, id, stream));
    }
}

/* Reads until the stream blocks or is over; returns which. */
static JspError read_bytes(World *world, uint64_t id, uint64_t stream, size_t *received)
{
    uint8_t piece[5000];
    JspError error;
    size_t i, len;

    while ((error = jsp_stream_recv(world->end[SERVER], world->now_ns, id, stream, piece,
                                    sizeof(piece), &len)) == JSP_ERROR_OK) {
        CHECK(len > 0);
        for (i = 0; i < len; i++) {
            CHECK(piece[i] == byte_at(*received + i));
        }
        *received += len;
    }
    return error;
}

static JspConnStats conn_stats(World *world, int side, uint64_t id)
{
    JspConnStats stats;
    memset(&stats, 0, sizeof(stats));
    stats.size = sizeof(stats);
    CHECK_OK(jsp_conn_stats(world->end[side], id, &stats));
    return stats;
}

/* How long a stream of that many bytes takes, one after the other. */
static uint64_t time_of_bytes(World *world, const uint64_t ids[SIDES], size_t total)
{
    uint64_t stream = world_open(world, ids, NULL), begun = world->now_ns;
    size_t sent = 0, received = 0;
    JspError error = JSP_ERROR_WOULD_BLOCK;

    while (error == JSP_ERROR_WOULD_BLOCK) {
        if (sent < total) {
            write_bytes(world, ids[CLIENT], stream, &sent, total);
        }
        CHECK(world_step(world, JSP_NEVER - 1));
        error = read_bytes(world, ids[SERVER], stream, &received);
    }
    CHECK_IS(error, JSP_ERROR_END);
    CHECK(received == total);
    return world->now_ns - begun;
}

static void test_congestion(void)
{
    Settings settings;
    uint64_t ids[SIDES], time, rate;
    World *world;
    JspConnStats bbr, cubic;

    /* For the endpoint: a megabyte takes a second at a megabyte per second. */
    settings_init(&settings);
    settings.client.fixed_rate_without_congestion_control = 1000000;
    world = connected(&settings, ids);
    CHECK(conn_stats(world, CLIENT, ids[CLIENT]).pacing_rate == 1000000);
    time = time_of_bytes(world, ids, 1000000);
    CHECK(time > SECOND && time < SECOND + 300 * MS);

    /* For the connection. */
    CHECK_OK(jsp_conn_set_fixed_rate_without_congestion_control(world->end[CLIENT], world->now_ns,
                                                                ids[CLIENT], 4000000));
    time = time_of_bytes(world, ids, 1000000);
    CHECK(time > 250 * MS && time < 350 * MS);
    CHECK_OK(jsp_conn_set_congestion(world->end[CLIENT], world->now_ns, ids[CLIENT],
                                     JSP_CONGESTION_CUBIC));
    CHECK(conn_stats(world, CLIENT, ids[CLIENT]).pacing_rate != 4000000);
    time_of_bytes(world, ids, 1000000);
    cubic = conn_stats(world, CLIENT, ids[CLIENT]);
    CHECK_OK(jsp_conn_set_congestion(world->end[CLIENT], world->now_ns, ids[CLIENT],
                                     JSP_CONGESTION_BBR));
    time_of_bytes(world, ids, 1000000);
    bbr = conn_stats(world, CLIENT, ids[CLIENT]);
    CHECK(cubic.congestion_window != bbr.congestion_window);

    /* What is wrong changes nothing. */
    rate = conn_stats(world, CLIENT, ids[CLIENT]).pacing_rate;
    CHECK_IS(jsp_conn_set_congestion(world->end[CLIENT], world->now_ns, ids[CLIENT], 2),
             JSP_ERROR_INVALID_ARGUMENT);
    CHECK_IS(jsp_conn_set_fixed_rate_without_congestion_control(world->end[CLIENT], world->now_ns,
                                                                ids[CLIENT], 0),
             JSP_ERROR_INVALID_ARGUMENT);
    CHECK(conn_stats(world, CLIENT, ids[CLIENT]).pacing_rate == rate);
    CHECK_IS(jsp_conn_set_congestion(world->end[CLIENT], world->now_ns, ids[CLIENT] + 1, 0),
             JSP_ERROR_NO_CONNECTION);
    world_free(world);

    settings_init(&settings);
    settings.client.congestion = JSP_CONGESTION_CUBIC;
    world = connected(&settings, ids);
    CHECK(time_of_bytes(world, ids, 100000) > 0);
    world_free(world);
    CHECK_OK(jsp_config_check(&settings.client, NULL, 0, &(size_t){0}));
    settings.client.fixed_rate_without_congestion_control = 1;
    CHECK_IS(jsp_config_check(&settings.client, NULL, 0, &(size_t){0}), JSP_ERROR_INVALID_ARGUMENT);
    settings.client.congestion = 2;
    CHECK_IS(jsp_config_check(&settings.client, NULL, 0, &(size_t){0}), JSP_ERROR_INVALID_ARGUMENT);
}

/* The kind of a stream that bytes are sent on, as its id says it. */
static uint64_t kind_of_bytes(Settings *settings, JspConnStats *stats)
{
    uint64_t ids[SIDES], stream;
    World *world = connected(settings, ids);

    CHECK(time_of_bytes(world, ids, 300000) > 0);
    *stats = conn_stats(world, CLIENT, ids[CLIENT]);
    stream = world_open(world, ids, NULL);
    world_free(world);
    return stream >> 2 & 3;
}

static void test_compression(void)
{
    Settings settings;
    uint64_t ids[SIDES], stream;
    World *world;
    JspConnStats stats;
    JspStreamOptions options;

    /* Only if both sides say so. */
    settings_init(&settings);
    settings.client.compression = JSP_COMPRESSION_ADAPTIVE;
    CHECK(kind_of_bytes(&settings, &stats) == JSP_STREAM_BYTES && stats.compressions_tried == 0);
    settings.server.accept_compressed = JSP_SWITCH_ON;
    CHECK(kind_of_bytes(&settings, &stats) == 3 && stats.messages_compressed > 0);
    CHECK(stats.bytes_after_compression < stats.bytes_before_compression);
    settings.client.compression = JSP_COMPRESSION_DEFAULT;
    CHECK(kind_of_bytes(&settings, &stats) == JSP_STREAM_BYTES && stats.compressions_tried == 0);
    settings.client.profile = JSP_PROFILE_MOBILE;
    CHECK(kind_of_bytes(&settings, &stats) == 3);
    settings.client.compression = JSP_COMPRESSION_OFF;
    CHECK(kind_of_bytes(&settings, &stats) == JSP_STREAM_BYTES);
    settings.client.profile = JSP_PROFILE_DEFAULT;

    /* For one stream. */
    world = connected(&settings, ids);
    options = stream_options(JSP_STREAM_BYTES);
    options.compression = JSP_COMPRESSION_ADAPTIVE_PADDED;
    stream = world_open(world, ids, &options);
    CHECK((stream >> 2 & 3) == 3);
    CHECK_OK(jsp_stream_set_compression(world->end[CLIENT], world->now_ns, ids[CLIENT], stream,
                                        JSP_COMPRESSION_OFF));
    CHECK_IS(jsp_stream_set_compression(world->end[CLIENT], world->now_ns, ids[CLIENT], stream,
                                        JSP_COMPRESSION_DEFAULT),
             JSP_ERROR_INVALID_ARGUMENT);
    CHECK_IS(jsp_stream_set_compression(world->end[CLIENT], world->now_ns, ids[CLIENT], stream, 4),
             JSP_ERROR_INVALID_ARGUMENT);
    stream = world_open(world, ids, NULL);
    CHECK_IS(jsp_stream_set_compression(world->end[CLIENT], world->now_ns, ids[CLIENT], stream,
                                        JSP_COMPRESSION_ADAPTIVE),
             JSP_ERROR_WRONG_KIND);
    options = stream_options(JSP_STREAM_ORDERED_MESSAGES);
    stream = world_open(world, ids, &options);
    CHECK_OK(jsp_stream_set_compression(world->end[CLIENT], world->now_ns, ids[CLIENT], stream,
                                        JSP_COMPRESSION_ADAPTIVE));
    options.compression = 4;
    CHECK_IS(jsp_stream_open(world->end[CLIENT], world->now_ns, ids[CLIENT], &options, &stream),
             JSP_ERROR_INVALID_ARGUMENT);
    CHECK_IS(jsp_stream_set_compression(world->end[CLIENT], world->now_ns, ids[CLIENT], 1 << 20,
                                        JSP_COMPRESSION_ADAPTIVE),
             JSP_ERROR_NO_STREAM);
    world_free(world);
}

static void test_corrections(void)
{
    Settings settings;
    uint64_t ids[SIDES], stream;
    uint32_t number;
    World *world;
    JspStreamOptions options;

    settings_init(&settings);
    settings.server.profile = JSP_PROFILE_LOW_LATENCY;
    settings.client.fec = JSP_FEC_ON;
    settings.client.fec_sources = 10;
    settings.client.fec_parity = 2;
    settings.client.fec_max_overhead = 100;
    settings.client.fec_max_symbols = 64;
    settings.client.fec_target = 1e-3;
    settings.client.fec_max_delay_ns = 5 * MS;
    world = connected(&settings, ids);
    CHECK(time_of_bytes(world, ids, 100000) > 0);
    CHECK(conn_stats(world, CLIENT, ids[CLIENT]).fec_sources_sent > 50);
    CHECK(conn_stats(world, CLIENT, ids[CLIENT]).fec_parity_sent > 4);
    CHECK(conn_stats(world, SERVER, ids[SERVER]).fec_parity_received > 4);
    CHECK(conn_stats(world, SERVER, ids[SERVER]).fec_malformed == 0);

    options = stream_options(JSP_STREAM_UNORDERED_MESSAGES);
    options.fec = JSP_FEC_ON;
    options.fec_sources = 64;
    options.fec_parity = 32;
    stream = world_open(world, ids, &options);
    CHECK_OK(jsp_stream_set_fec(world->end[CLIENT], world->now_ns, ids[CLIENT], stream,
                                JSP_FEC_AUTO, 0, 0));
    CHECK_IS(jsp_stream_set_fec(world->end[CLIENT], world->now_ns, ids[CLIENT], stream,
                                JSP_FEC_DEFAULT, 0, 0),
             JSP_ERROR_INVALID_ARGUMENT);
    CHECK_IS(jsp_stream_set_fec(world->end[CLIENT], world->now_ns, ids[CLIENT], stream, JSP_FEC_ON,
                                10, 0),
             JSP_ERROR_INVALID_ARGUMENT);
    CHECK_IS(jsp_stream_set_fec(world->end[CLIENT], world->now_ns, ids[CLIENT], 1 << 20,
                                JSP_FEC_OFF, 0, 0),
             JSP_ERROR_NO_STREAM);
    options.fec_parity = 33;
    CHECK_IS(jsp_stream_open(world->end[CLIENT], world->now_ns, ids[CLIENT], &options, &stream),
             JSP_ERROR_INVALID_ARGUMENT);

    for (number = JSP_NETWORK_UNKNOWN; number <= JSP_NETWORK_CELLULAR; number++) {
        CHECK_OK(jsp_conn_set_network(world->end[CLIENT], world->now_ns, ids[CLIENT], number));
    }
    CHECK_IS(jsp_conn_set_network(world->end[CLIENT], world->now_ns, ids[CLIENT], number),
             JSP_ERROR_INVALID_ARGUMENT);
    CHECK_IS(jsp_conn_set_network(world->end[CLIENT], world->now_ns, ids[CLIENT] + 1, 0),
             JSP_ERROR_NO_CONNECTION);
    for (number = JSP_APP_FOREGROUND; number <= JSP_APP_SLEEP; number++) {
        CHECK_OK(jsp_conn_set_app_state(world->end[CLIENT], world->now_ns, ids[CLIENT], number));
    }
    CHECK_IS(jsp_conn_set_app_state(world->end[CLIENT], world->now_ns, ids[CLIENT], number),
             JSP_ERROR_INVALID_ARGUMENT);
    world_free(world);

    settings.client.fec_sources = 65;
    CHECK_IS(jsp_config_check(&settings.client, NULL, 0, &(size_t){0}), JSP_ERROR_BUFFER_TOO_SMALL);
    settings.client.fec = 4;
    CHECK_IS(jsp_config_check(&settings.client, NULL, 0, &(size_t){0}), JSP_ERROR_INVALID_ARGUMENT);
}

/* Writing goes on only when the event says so, and so does reading: a lost event is a hang. */
static void test_bytes_with_back_pressure(void)
{
    enum { TOTAL = 3000000 };
    Settings settings;
    uint64_t ids[SIDES], stream;
    size_t sent = 0, received = 0, len;
    int blocked = 0;
    JspError error = JSP_ERROR_WOULD_BLOCK;
    World *world;
    JspEvent event;

    settings_init(&settings);
    settings.client.send_buffer = 200000;
    settings.client.stream_send_buffer = 100000;
    world = connected(&settings, ids);
    world->max_segments = 8;
    stream = world_open(world, ids, NULL);
    write_bytes(world, ids[CLIENT], stream, &sent, TOTAL);
    while (error == JSP_ERROR_WOULD_BLOCK) {
        CHECK(world_step(world, JSP_NEVER - 1));
        while (world_take(world, CLIENT, JSP_EVENT_STREAM_WRITABLE, &event)) {
            CHECK(event.stream == stream && event.connection == ids[CLIENT]);
            write_bytes(world, ids[CLIENT], stream, &sent, TOTAL);
            blocked++;
        }
        while (world_take(world, SERVER, JSP_EVENT_STREAM_READABLE, &event)) {
            CHECK(event.stream == stream && event.connection == ids[SERVER]);
            error = read_bytes(world, ids[SERVER], stream, &received);
        }
    }
    CHECK_IS(error, JSP_ERROR_END);
    CHECK(sent == TOTAL && received == TOTAL && blocked > 10 && world->batches > 10);
    CHECK(world_await(world, CLIENT, JSP_EVENT_STREAM_FINISHED).stream == stream);
    CHECK_IS(jsp_stream_send(world->end[CLIENT], world->now_ns, ids[CLIENT], stream, SERVER_SEED, 1,
                             &len),
             JSP_ERROR_FINISHED);
    world_free(world);
}

static uint64_t send_tracked(World *world, uint64_t id, uint64_t stream, uint32_t mode,
                             const char *text)
{
    JspMessageOptions options;
    uint64_t number = 0;

    memset(&options, 0, sizeof(options));
    options.size = sizeof(options);
    options.has_mode = 1;
    options.mode = mode;
    options.ttl_ns = mode == JSP_DELIVERY_MODE_PARTIALLY_RELIABLE ? 300 * MS : 0;
    options.tracked = 1;
    CHECK_OK(jsp_stream_send_message(world->end[CLIENT], world->now_ns, id, stream,
                                     (const uint8_t *)text, strlen(text), &options, &number));
    return number;
}

static void expect_message(World *world, uint64_t id, uint64_t stream, const char *text)
{
    uint8_t out[64] = "";
    size_t len = 0, expected = strlen(text);

    CHECK_IS(jsp_stream_recv_message(world->end[SERVER], world->now_ns, id, stream, out,
                                     expected - 1, &len),
             JSP_ERROR_BUFFER_TOO_SMALL);
    CHECK(len == expected && out[0] == 0);
    CHECK_OK(jsp_stream_recv_message(world->end[SERVER], world->now_ns, id, stream, out,
                                     sizeof(out), &len));
    CHECK(len == expected && memcmp(out, text, len) == 0);
}

static void test_messages_in_every_mode(void)
{
    static const uint32_t kinds[] = {JSP_STREAM_ORDERED_MESSAGES, JSP_STREAM_UNORDERED_MESSAGES};
    static const char *const texts[] = {"reliable", "best effort", "partially reliable"};
    Settings settings;
    uint64_t ids[SIDES], numbers[3], stream;
    JspStreamOptions options;
    World *world;
    size_t kind, len = 0;
    uint32_t mode;

    settings_init(&settings);
    world = connected(&settings, ids);
    for (kind = 0; kind < 2; kind++) {
        options = stream_options(kinds[kind]);
        options.uni = (uint32_t)kind;
        stream = world_open(world, ids, &options);
        CHECK((stream >> 2 & 3) == kinds[kind] && (stream >> 1 & 1) == kind);
        for (mode = 0; mode < 3; mode++) {
            numbers[mode] = send_tracked(world, ids[CLIENT], stream, mode, texts[mode]);
        }
        for (mode = 0; mode < 3; mode++) {
            JspEvent event = world_await(world, CLIENT, JSP_EVENT_MESSAGE_OUTCOME);
            CHECK(event.detail == JSP_OUTCOME_ACKED && event.stream == stream);
            CHECK(event.code == numbers[mode] && event.connection == ids[CLIENT]);
        }
        for (mode = 0; mode < 3; mode++) {
            expect_message(world, ids[SERVER], stream, texts[mode]);
        }
        CHECK_IS(jsp_stream_recv_message(world->end[SERVER], world->now_ns, ids[SERVER], stream,
                                         NULL, 0, &len),
                 JSP_ERROR_WOULD_BLOCK);
    }
    world_free(world);
}

static void test_lost_and_expired_messages(void)
{
    Settings settings;
    uint64_t ids[SIDES], stream, lost, expired;
    JspStreamOptions options = stream_options(JSP_STREAM_UNORDERED_MESSAGES);
    JspEvent event;
    World *world;
    int i, is_lost = 0, is_expired = 0;

    settings_init(&settings);
    world = connected(&settings, ids);
    stream = world_open(world, ids, &options);
    world->loses[CLIENT] = 1;
    lost = send_tracked(world, ids[CLIENT], stream, JSP_DELIVERY_MODE_BEST_EFFORT, "lost");
    expired = send_tracked(world, ids[CLIENT], stream, JSP_DELIVERY_MODE_PARTIALLY_RELIABLE, "old");
    world_run(world, SECOND);
    world->loses[CLIENT] = 0;
    send_tracked(world, ids[CLIENT], stream, JSP_DELIVERY_MODE_RELIABLE, "arrives");
    for (i = 0; i < 3; i++) {
        event = world_await(world, CLIENT, JSP_EVENT_MESSAGE_OUTCOME);
        is_lost += event.code == lost && event.detail == JSP_OUTCOME_LOST;
        is_expired += event.code == expired && event.detail == JSP_OUTCOME_EXPIRED;
    }
    CHECK(is_lost == 1 && is_expired == 1);
    expect_message(world, ids[SERVER], stream, "arrives");
    world_free(world);
}

static void test_message_limits(void)
{
    Settings settings;
    uint64_t ids[SIDES], stream, bytes, capacity = 0;
    JspStreamOptions options = stream_options(JSP_STREAM_ORDERED_MESSAGES);
    uint8_t data[1001] = {0};
    size_t len;
    World *world;

    settings_init(&settings);
    settings.server.max_message_size = 1000;
    world = connected(&settings, ids);
    CHECK(conn_info(world, CLIENT, ids[CLIENT]).max_message_size == 1000);
    stream = world_open(world, ids, &options);
    bytes = world_open(world, ids, NULL);
#define SEND(on, size)                                                                             \
    jsp_stream_send_message(world->end[CLIENT], world->now_ns, ids[CLIENT], on, data, size, NULL,  \
                            NULL)
    CHECK_IS(SEND(stream, 0), JSP_ERROR_EMPTY_MESSAGE);
    CHECK_IS(SEND(stream, 1001), JSP_ERROR_MESSAGE_TOO_LARGE);
    CHECK_OK(SEND(stream, 1000));
    CHECK_IS(SEND(bytes, 1), JSP_ERROR_WRONG_KIND);
    CHECK_IS(SEND(stream + 64, 1), JSP_ERROR_NO_STREAM);
#undef SEND
    CHECK_IS(jsp_stream_send(world->end[CLIENT], world->now_ns, ids[CLIENT], stream, data, 1, &len),
             JSP_ERROR_WRONG_KIND);
    CHECK_IS(jsp_stream_set_priority(world->end[CLIENT], world->now_ns, ids[CLIENT], stream, 256),
             JSP_ERROR_INVALID_ARGUMENT);
    CHECK_OK(jsp_stream_set_priority(world->end[CLIENT], world->now_ns, ids[CLIENT], stream, 255));
    CHECK_OK(jsp_stream_send_capacity(world->end[CLIENT], world->now_ns, ids[CLIENT], stream,
                                      &capacity));
    CHECK(capacity > 0);
    options = stream_options(JSP_STREAM_BYTES);
    options.mode = JSP_DELIVERY_MODE_BEST_EFFORT;
    CHECK_IS(jsp_stream_open(world->end[CLIENT], world->now_ns, ids[CLIENT], &options, &stream),
             JSP_ERROR_MODE_NEEDS_MESSAGES);
    world_free(world);
}

static void test_stream_limit(void)
{
    Settings settings;
    uint64_t ids[SIDES], stream, first;
    JspEvent event;
    World *world;
    size_t len;
    int i;

    settings_init(&settings);
    settings.server.max_streams = 4;
    world = connected(&settings, ids);
    first = world_open(world, ids, NULL);
    for (i = 0; i < 3; i++) {
        world_open(world, ids, NULL);
    }
    CHECK_IS(jsp_stream_open(world->end[CLIENT], world->now_ns, ids[CLIENT], NULL, &stream),
             JSP_ERROR_STREAM_LIMIT);
    CHECK_OK(jsp_stream_finish(world->end[CLIENT], world->now_ns, ids[CLIENT], first));
    CHECK_OK(jsp_stream_finish(world->end[SERVER], world->now_ns, ids[SERVER], first));
    CHECK(world_await(world, SERVER, JSP_EVENT_STREAM_READABLE).stream == first);
    CHECK_IS(jsp_stream_recv(world->end[SERVER], world->now_ns, ids[SERVER], first, NULL, 0, &len),
             JSP_ERROR_END);
    CHECK(world_await(world, CLIENT, JSP_EVENT_STREAM_READABLE).stream == first);
    CHECK_IS(jsp_stream_recv(world->end[CLIENT], world->now_ns, ids[CLIENT], first, NULL, 0, &len),
             JSP_ERROR_END);
    event = world_await(world, CLIENT, JSP_EVENT_STREAMS_AVAILABLE);
    CHECK(event.detail == (first & 15));
    world_open(world, ids, NULL);
    world_free(world);
}

static void test_reset_and_stop(void)
{
    Settings settings;
    uint64_t ids[SIDES], stream;
    uint8_t byte;
    JspEvent event;
    World *world;
    size_t len;

    settings_init(&settings);
    world = connected(&settings, ids);
    stream = world_open(world, ids, NULL);
    CHECK_OK(jsp_stream_reset(world->end[CLIENT], world->now_ns, ids[CLIENT], stream, 41));
    event = world_await(world, SERVER, JSP_EVENT_STREAM_RESET);
    CHECK(event.stream == stream && event.code == 41);
    CHECK_IS(jsp_stream_recv(world->end[SERVER], world->now_ns, ids[SERVER], stream, &byte, 1,
                             &len),
             JSP_ERROR_RESET);
    CHECK_IS(jsp_stream_send(world->end[CLIENT], world->now_ns, ids[CLIENT], stream, &byte, 1,
                             &len),
             JSP_ERROR_RESET);

    stream = world_open(world, ids, NULL);
    CHECK_OK(jsp_stream_stop(world->end[SERVER], world->now_ns, ids[SERVER], stream, 42));
    event = world_await(world, CLIENT, JSP_EVENT_STREAM_STOPPED);
    CHECK(event.stream == stream && event.code == 42);
    CHECK_OK(jsp_stream_stop(world->end[SERVER], world->now_ns, ids[SERVER], stream, 43));
    CHECK_IS(jsp_stream_recv(world->end[SERVER], world->now_ns, ids[SERVER], stream, &byte, 1,
                             &len),
             JSP_ERROR_STOPPED);
    CHECK_IS(jsp_stream_send(world->end[CLIENT], world->now_ns, ids[CLIENT], stream, &byte, 1,
                             &len),
             JSP_ERROR_STOPPED);
    world_free(world);
}

/* ---- the end */

static void test_close_delivers(void)
{
    Settings settings;
    uint64_t ids[SIDES], stream;
    JspStreamOptions options = stream_options(JSP_STREAM_ORDERED_MESSAGES);
    JspCloseReason reason;
    char text[640] = "";
    size_t len = 0, needed = 0;
    World *world;

    settings_init(&settings);
    world = connected(&settings, ids);
    stream = world_open(world, ids, &options);
    CHECK_IS(jsp_conn_close_reason(world->end[CLIENT], ids[CLIENT], &reason),
             JSP_ERROR_WRONG_STATE);
    CHECK_OK(jsp_stream_send_message(world->end[CLIENT], world->now_ns, ids[CLIENT], stream,
                                     TEXT("last words"), NULL, NULL));
    CHECK_OK(jsp_conn_close(world->end[CLIENT], world->now_ns, ids[CLIENT], 5, TEXT("bye")));
    CHECK_OK(jsp_conn_close(world->end[CLIENT], world->now_ns, ids[CLIENT], 6, TEXT("again")));
    CHECK(world_await(world, CLIENT, JSP_EVENT_CLOSED).connection == ids[CLIENT]);
    reason = close_reason(world, CLIENT, ids[CLIENT]);
    CHECK(reason.error == JSP_ERROR_LOCALLY_CLOSED && reason.code == 5);
    CHECK(world_await(world, SERVER, JSP_EVENT_CLOSED).connection == ids[SERVER]);
    reason = close_reason(world, SERVER, ids[SERVER]);
    CHECK(reason.error == JSP_ERROR_PEER_CLOSED && reason.code == 5);
    CHECK(reason.reason_len == 3 && memcmp(reason.reason, "bye", 3) == 0);
    CHECK(conn_info(world, SERVER, ids[SERVER]).is_closed == 1);

    CHECK_IS(jsp_conn_close_text(world->end[SERVER], ids[SERVER], text, 4, &needed),
             JSP_ERROR_BUFFER_TOO_SMALL);
    CHECK(needed > 3 && text[0] == '\0');
    CHECK_IS(jsp_conn_close_text(world->end[SERVER], ids[SERVER], text, needed, &len),
             JSP_ERROR_BUFFER_TOO_SMALL);
    CHECK_OK(jsp_conn_close_text(world->end[SERVER], ids[SERVER], text, needed + 1, &len));
    CHECK(len == needed && strlen(text) == len && strstr(text, "bye") != NULL);

    /* What arrived can be read however much later. */
    world_run(world, 100 * SECOND);
    expect_message(world, ids[SERVER], stream, "last words");
    CHECK_IS(jsp_stream_open(world->end[SERVER], world->now_ns, ids[SERVER], NULL, &stream),
             JSP_ERROR_CLOSED);
    CHECK_OK(jsp_conn_discard(world->end[SERVER], world->now_ns, ids[SERVER]));
    CHECK_IS(jsp_conn_discard(world->end[SERVER], world->now_ns, ids[SERVER]),
             JSP_ERROR_NO_CONNECTION);
    CHECK_IS(jsp_conn_close(world->end[SERVER], world->now_ns, ids[SERVER], 0, NULL, 0),
             JSP_ERROR_NO_CONNECTION);
    CHECK_IS(jsp_conn_close(world->end[CLIENT], world->now_ns, ids[CLIENT], 0, NULL, 0),
             JSP_ERROR_NO_CONNECTION);
    world_free(world);
}

static void test_abort_and_idle_timeout(void)
{
    uint8_t reason[JSP_REASON_LEN + 1] = {0};
    Settings settings;
    uint64_t ids[SIDES];
    World *world;

    settings_init(&settings);
    settings.server.idle_timeout_ns = 5 * SECOND;
    world = connected(&settings, ids);
    CHECK_IS(jsp_conn_abort(world->end[SERVER], world->now_ns, ids[SERVER], 9, reason,
                            sizeof(reason)),
             JSP_ERROR_INVALID_ARGUMENT);
    CHECK_OK(jsp_conn_abort(world->end[SERVER], world->now_ns, ids[SERVER], 9, reason,
                            sizeof(reason) - 1));
    world_await(world, CLIENT, JSP_EVENT_CLOSED);
    CHECK(close_reason(world, CLIENT, ids[CLIENT]).error == JSP_ERROR_PEER_CLOSED);
    CHECK(close_reason(world, CLIENT, ids[CLIENT]).code == 9);
    CHECK(close_reason(world, CLIENT, ids[CLIENT]).reason_len == JSP_REASON_LEN);
    world_await(world, SERVER, JSP_EVENT_CLOSED);

    world_connect(world, &settings.trust, ids);
    world->loses[CLIENT] = world->loses[SERVER] = 1;
    world_await(world, CLIENT, JSP_EVENT_CLOSED);
    CHECK(close_reason(world, CLIENT, ids[CLIENT]).error == JSP_ERROR_IDLE_TIMEOUT);
    world_await(world, SERVER, JSP_EVENT_CLOSED);
    CHECK(close_reason(world, SERVER, ids[SERVER]).error == JSP_ERROR_IDLE_TIMEOUT);
    world_free(world);
}

static void test_shutdown(void)
{
    Settings settings;
    uint64_t ids[SIDES], id;
    uint32_t idle = 7;
    JspCloseReason reason;
    World *world;

    settings_init(&settings);
    world = connected(&settings, ids);
    CHECK_OK(jsp_endpoint_is_idle(world->end[CLIENT], &idle));
    CHECK(idle == 0);
    CHECK_OK(jsp_endpoint_shutdown(world->end[CLIENT], world->now_ns, 3));
    CHECK_OK(jsp_endpoint_shutdown(world->end[CLIENT], world->now_ns, 4));
    CHECK_IS(jsp_endpoint_connect(world->end[CLIENT], world->now_ns, &world->address[SERVER],
                                  &settings.trust, &id),
             JSP_ERROR_SHUTTING_DOWN);
    world_await(world, SERVER, JSP_EVENT_CLOSED);
    reason = close_reason(world, SERVER, ids[SERVER]);
    CHECK(reason.error == JSP_ERROR_PEER_CLOSED && reason.code == 3);
    world_run(world, 60 * SECOND);
    CHECK_OK(jsp_endpoint_is_idle(world->end[CLIENT], &idle));
    CHECK(idle == 1);
    CHECK_OK(jsp_endpoint_is_idle(world->end[SERVER], &idle));
    CHECK(idle == 1);
    world_free(world);
}

/* ---- numbers and secrets */

static void test_exported_keys(void)
{
    uint8_t keys[SIDES][48], other[48];
    Settings settings;
    uint64_t ids[SIDES], id;
    World *world;
    int side;

    settings_init(&settings);
    world = connected(&settings, ids);
    for (side = 0; side < SIDES; side++) {
        CHECK_OK(jsp_conn_export_key(world->end[side], ids[side], TEXT("label"), TEXT("context"),
                                     keys[side], 48));
    }
    CHECK(memcmp(keys[CLIENT], keys[SERVER], 48) == 0);
    CHECK_OK(jsp_conn_export_key(world->end[CLIENT], ids[CLIENT], TEXT("label"), NULL, 0, other,
                                 48));
    CHECK(memcmp(keys[CLIENT], other, 48) != 0);
    CHECK_OK(jsp_endpoint_connect(world->end[CLIENT], world->now_ns, &world->address[SERVER],
                                  &settings.trust, &id));
    CHECK_IS(jsp_conn_export_key(world->end[CLIENT], id, TEXT("label"), NULL, 0, other, 48),
             JSP_ERROR_NOT_CONNECTED);
    world_free(world);
}

static void test_equal_seeds_give_equal_datagrams(void)
{
    uint8_t keys[2][32];
    Settings settings;
    uint64_t ids[SIDES];
    size_t i;

    for (i = 0; i < 2; i++) {
        World *world;
        settings_init(&settings);
        world = connected(&settings, ids);
        CHECK_OK(jsp_conn_export_key(world->end[SERVER], ids[SERVER], TEXT("label"), NULL, 0,
                                     keys[i], 32));
        world_free(world);
    }
    CHECK(memcmp(keys[0], keys[1], 32) == 0);
}

static void test_statistics(void)
{
    Settings settings;
    uint64_t ids[SIDES], dropped = 0;
    JspEndpointStats client, server;
    JspConnStats stats;
    JspDatagram datagram;
    uint8_t rubbish[40];
    World *world;
    size_t i;

    settings_init(&settings);
    world = connected(&settings, ids);
    world_run(world, SECOND);
    client = endpoint_stats(world, CLIENT);
    server = endpoint_stats(world, SERVER);
    CHECK(client.connections == 1 && client.connections_confirmed == 1);
    CHECK(client.datagrams_sent == server.datagrams_received && client.bytes_sent > 1200);
    CHECK(client.bytes_received == server.bytes_sent && server.handshakes_started == 1);
    stats = conn_stats(world, CLIENT, ids[CLIENT]);
    CHECK(stats.min_rtt_ns == 2 * world->delay_ns && stats.rtt_ns >= stats.min_rtt_ns);
    CHECK(stats.datagrams_sent == client.datagrams_sent && stats.datagram_size >= 1200);
    CHECK(stats.handshake_time_ns >= 2 * world->delay_ns && stats.congestion_window > 0);

    memset(rubbish, 0x5a, sizeof(rubbish));
    memset(&datagram, 0, sizeof(datagram));
    datagram.len = sizeof(rubbish);
    datagram.remote = world->address[CLIENT];
    CHECK_OK(jsp_endpoint_receive(world->end[SERVER], world->now_ns, rubbish, sizeof(rubbish),
                                  &datagram, 1));
    server = endpoint_stats(world, SERVER);
    /* It looks like a packet of a connection that is lost, and its sender is told so. */
    CHECK(server.dropped_total == 0 && server.resets_sent == 1);
    memset(rubbish, 0x5a, sizeof(rubbish));
    datagram.len = 3;
    CHECK_OK(jsp_endpoint_receive(world->end[SERVER], world->now_ns, rubbish, sizeof(rubbish),
                                  &datagram, 1));
    server = endpoint_stats(world, SERVER);
    for (i = 0; i < JSP_DROP_REASONS; i++) {
        dropped += server.dropped[i];
    }
    CHECK(server.dropped_total == 1 && dropped == 1);
    world_free(world);
}

/* ---- paths and keys */

/* Sends `count` messages, each a number, and receives what has come, in order. */
static void send_numbers(World *world, const uint64_t ids[SIDES], uint64_t stream, uint32_t *sent,
                         uint32_t count)
{
    for (; count > 0; count--, *sent += 1) {
        CHECK_OK(jsp_stream_send_message(world->end[CLIENT], world->now_ns, ids[CLIENT], stream,
                                         (const uint8_t *)sent, sizeof(*sent), NULL, NULL));
    }
}

static void receive_numbers(World *world, const uint64_t ids[SIDES], uint64_t stream,
                            uint32_t *received)
{
    uint32_t number;
    size_t len;

    while (jsp_stream_recv_message(world->end[SERVER], world->now_ns, ids[SERVER], stream,
                                   (uint8_t *)&number, sizeof(number), &len) == JSP_ERROR_OK) {
        CHECK(len == sizeof(number) && number == *received);
        *received += 1;
    }
}

static JspConnStats path_stats(World *world, int side, const uint64_t ids[SIDES])
{
    return conn_stats(world, side, ids[side]);
}

/* The device gets another address, and the old socket is gone with all that is on its way to it. */
static void test_rebinding(void)
{
    uint64_t ids[SIDES], stream;
    uint32_t sent = 0, received = 0;
    JspStreamOptions options = stream_options(JSP_STREAM_ORDERED_MESSAGES);
    JspAddress bad = {0};
    JspConnInfo info;
    Settings settings;
    World *world;

    settings_init(&settings);
    world = connected(&settings, ids);
    world->has_strangers = 1;
    stream = world_open(world, ids, &options);
    send_numbers(world, ids, stream, &sent, 500);
    CHECK(world_step(world, JSP_NEVER - 1));
    receive_numbers(world, ids, stream, &received);

    bad.family = 5;
    CHECK_IS(jsp_endpoint_rebind(world->end[CLIENT], world->now_ns, &bad), JSP_ERROR_INVALID_ARGUMENT);
    CHECK_OK(jsp_address_parse("10.9.9.9:99", &world->address[CLIENT]));
    CHECK_OK(jsp_endpoint_rebind(world->end[CLIENT], world->now_ns, &world->address[CLIENT]));
    CHECK(world_await(world, CLIENT, JSP_EVENT_PATH_CHANGED).connection == ids[CLIENT]);
    CHECK(world_await(world, SERVER, JSP_EVENT_PATH_CHANGED).connection == ids[SERVER]);
    info = conn_info(world, SERVER, ids[SERVER]);
    CHECK(memcmp(&info.remote, &world->address[CLIENT], sizeof(info.remote)) == 0);

    /* A second time, and the program does not know its address. */
    send_numbers(world, ids, stream, &sent, 500);
    CHECK_OK(jsp_address_parse("10.9.9.10:99", &world->address[CLIENT]));
    CHECK_OK(jsp_endpoint_rebind(world->end[CLIENT], world->now_ns, NULL));
    world_await(world, SERVER, JSP_EVENT_PATH_CHANGED);
    world_run(world, 2 * SECOND);
    receive_numbers(world, ids, stream, &received);
    CHECK(received == sent && sent == 1000);
    CHECK(path_stats(world, CLIENT, ids).path_changes == 2);
    CHECK(path_stats(world, SERVER, ids).path_changes == 2);
    CHECK(path_stats(world, SERVER, ids).path_switches_refused == 0);
    world_free(world);
}

/* A program with two sockets moves a connection from one to the other. */
static void test_two_sockets(void)
{
    uint64_t ids[SIDES], stream;
    uint32_t sent = 0, received = 0;
    JspStreamOptions options = stream_options(JSP_STREAM_ORDERED_MESSAGES);
    JspConnInfo info;
    Settings settings;
    World *world;

    settings_init(&settings);
    world = connected(&settings, ids);
    CHECK_OK(jsp_address_parse("10.9.9.9:99", &world->second));
    stream = world_open(world, ids, &options);
    send_numbers(world, ids, stream, &sent, 300);
    CHECK_IS(jsp_conn_migrate(world->end[SERVER], world->now_ns, ids[SERVER], &world->second),
             JSP_ERROR_NOT_A_CLIENT);
    CHECK_IS(jsp_conn_migrate(world->end[CLIENT], world->now_ns, ids[CLIENT] + 1, &world->second),
             JSP_ERROR_NO_CONNECTION);
    CHECK_OK(jsp_conn_migrate(world->end[CLIENT], world->now_ns, ids[CLIENT], &world->second));
    send_numbers(world, ids, stream, &sent, 300);
    world_await(world, CLIENT, JSP_EVENT_PATH_CHANGED);
    world_await(world, SERVER, JSP_EVENT_PATH_CHANGED);
    info = conn_info(world, SERVER, ids[SERVER]);
    CHECK(memcmp(&info.remote, &world->second, sizeof(info.remote)) == 0);
    world_run(world, 2 * SECOND);
    receive_numbers(world, ids, stream, &received);
    CHECK(received == sent && sent == 600);
    world_free(world);
}

static void test_moves_that_are_refused(void)
{
    uint64_t ids[SIDES];
    Settings settings;
    World *world;

    settings_init(&settings);
    settings.server.allow_migration = JSP_SWITCH_OFF;
    world = world_new(&settings);
    trust_pinned(&settings, world);
    CHECK_OK(jsp_address_parse("10.9.9.9:99", &world->second));
    CHECK_OK(jsp_endpoint_connect(world->end[CLIENT], world->now_ns, &world->address[SERVER],
                                  &settings.trust, &ids[CLIENT]));
    CHECK_IS(jsp_conn_migrate(world->end[CLIENT], world->now_ns, ids[CLIENT], &world->second),
             JSP_ERROR_NOT_CONNECTED);
    CHECK_IS(jsp_conn_update_keys(world->end[CLIENT], world->now_ns, ids[CLIENT]),
             JSP_ERROR_NOT_CONFIRMED);
    world_await(world, CLIENT, JSP_EVENT_HANDSHAKE_CONFIRMED);
    CHECK_IS(jsp_conn_migrate(world->end[CLIENT], world->now_ns, ids[CLIENT], &world->second),
             JSP_ERROR_MIGRATION_FORBIDDEN);
    world_free(world);
}

static void test_key_updates(void)
{
    uint64_t ids[SIDES];
    JspConnStats stats;
    Settings settings;
    World *world;
    int side;

    settings_init(&settings);
    settings.client.key_update_age_ns = 24 * 3600 * SECOND;
    world = connected(&settings, ids);
    world_run(world, 5 * SECOND);
    CHECK_OK(jsp_conn_update_keys(world->end[CLIENT], world->now_ns, ids[CLIENT]));
    CHECK_IS(jsp_conn_update_keys(world->end[CLIENT], world->now_ns, ids[CLIENT]),
             JSP_ERROR_KEY_UPDATE_PENDING);
    world_run(world, 5 * SECOND);
    for (side = 0; side < SIDES; side++) {
        stats = conn_stats(world, side, ids[side]);
        CHECK(stats.key_updates == 1 && stats.key_phase == 1);
    }
    CHECK_OK(jsp_conn_update_keys(world->end[CLIENT], world->now_ns, ids[CLIENT]));
    world_run(world, 5 * SECOND);
    CHECK(conn_stats(world, CLIENT, ids[CLIENT]).key_updates == 2);
    CHECK_OK(jsp_conn_close(world->end[CLIENT], world->now_ns, ids[CLIENT], 0, NULL, 0));
    CHECK_IS(jsp_conn_update_keys(world->end[CLIENT], world->now_ns, ids[CLIENT]), JSP_ERROR_CLOSED);
    world_free(world);
}

/* What load balancers read in the ids that a server gives its clients. */
static void test_load_balancing(void)
{
    static const uint8_t id[] = {0x5a, 0xb1, 0xc2};
    uint64_t ids[SIDES];
    JspEndpointStats stats;
    Settings settings;
    World *world;
    size_t i, named = 0;

    settings_init(&settings);
    memcpy(settings.server.load_balancing_server_id, id, sizeof(id));
    settings.server.load_balancing_server_id_len = sizeof(id);
    settings.server.load_balancing_rotation = 3;
    world = connected(&settings, ids);
    CHECK_OK(jsp_conn_close(world->end[CLIENT], world->now_ns, ids[CLIENT], 0, NULL, 0));
    world_poll(world);
    for (i = 0; i < world->packets_len; i++) {
        const Packet *packet = &world->packets[i];
        /* A short header: the server's id follows the first byte, behind rotation and length. */
        if (packet->to == SERVER && packet->len > 5 && packet->data[1] == (3 << 5 | 11)) {
            named += memcmp(packet->data + 2, id, sizeof(id)) == 0;
        }
    }
    CHECK(named > 0);
    stats = endpoint_stats(world, SERVER);
    CHECK(stats.tokens_issued == 1 && stats.tokens_accepted == 0 && stats.tokens_rejected == 0);
    CHECK(stats.seal_openings > 0 && stats.resets_sent == 0 && stats.version_negotiations_sent == 0);
    world_free(world);
}

/* Tokens of earlier connections, and the key that they were made with. */
static void test_token_keys(void)
{
    static const uint8_t first[JSP_KEY_LEN] = {1}, second[JSP_KEY_LEN] = {2};
    uint64_t ids[SIDES], again[SIDES];
    Settings settings;
    World *world;

    settings_init(&settings);
    settings.server.token_secret = first;
    settings.server.retry = JSP_RETRY_ALWAYS;
    world = connected(&settings, ids);
    world_run(world, SECOND);
    CHECK(endpoint_stats(world, SERVER).retries_sent == 1);
    /* The first connection was asked to prove its address, the second brings its token. */
    world_connect(world, &settings.trust, again);
    world_run(world, SECOND);
    CHECK(endpoint_stats(world, SERVER).retries_sent == 1);
    CHECK(endpoint_stats(world, SERVER).tokens_accepted == 2);
    /* With other keys the token of before is worth nothing. */
    CHECK_OK(jsp_endpoint_set_token_keys(world->end[SERVER], second, NULL));
    world_connect(world, &settings.trust, again);
    CHECK(endpoint_stats(world, SERVER).retries_sent == 2);
    CHECK(endpoint_stats(world, SERVER).tokens_rejected > 0);
    world_free(world);
}

/* ---- */

typedef struct Test {
    const char *name;
    void (*run)(void);
} Test;

#define TEST(name) {#name, test_##name}

static const Test tests[] = {
    TEST(addresses),
    TEST(keys_and_versions),
    TEST(pinned_key),
    TEST(key_ids),
    TEST(ask_for_trust),
    TEST(wrong_keys),
    TEST(no_answer),
    TEST(retry),
    TEST(protocols),
    TEST(refusal),
    TEST(pre_shared_key),
    TEST(wrong_pre_shared_key),
    TEST(identity),
    TEST(jobs_handed_out),
    TEST(bytes_with_back_pressure),
    TEST(congestion),
    TEST(compression),
    TEST(corrections),
    TEST(messages_in_every_mode),
    TEST(lost_and_expired_messages),
    TEST(message_limits),
    TEST(stream_limit),
    TEST(reset_and_stop),
    TEST(close_delivers),
    TEST(abort_and_idle_timeout),
    TEST(shutdown),
    TEST(exported_keys),
    TEST(equal_seeds_give_equal_datagrams),
    TEST(statistics),
    TEST(rebinding),
    TEST(two_sockets),
    TEST(moves_that_are_refused),
    TEST(key_updates),
    TEST(load_balancing),
    TEST(token_keys),
};

int main(int argc, char **argv)
{
    size_t i, ran = 0;

    for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        if (argc < 2 || strstr(tests[i].name, argv[1]) != NULL) {
            tests[i].run();
            ran++;
        }
    }
    printf("%zu tests passed\n", ran);
    return ran == 0;
}
