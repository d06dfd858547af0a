// The blocking interface: a server on one thread, clients on others, and calls at the wrong time.

#include "jetstream_proto.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition)                                                                       \
    do {                                                                                       \
        if (!(condition)) {                                                                    \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                    \
            abort();                                                                           \
        }                                                                                      \
    } while (0)

#define PATIENCE_MS 60000
#define CLIENTS 4
#define MESSAGES 50

// A server with the address that clients are to be given.
typedef struct {
    JspListener *listener;
    char address[JSP_ADDRESS_TEXT + JSP_KEY_ID_TEXT];
} Server;

static void *echo(void *argument)
{
    JspConnection *connection = argument;
    static const size_t capacity = 65536;
    uint8_t *message = malloc(capacity);
    CHECK(message != NULL);
    for (;;) {
        uint32_t stream;
        size_t len;
        JspError error = jsp_connection_recv(connection, &stream, message, capacity, &len, PATIENCE_MS);
        if (error != JSP_ERROR_OK) {
            CHECK(error == JSP_ERROR_PEER_CLOSED);
            break;
        }
        CHECK(jsp_connection_send(connection, stream, message, len) == JSP_ERROR_OK);
    }
    free(message);
    jsp_connection_free(connection);
    return NULL;
}

static void *serve(void *argument)
{
    Server *server = argument;
    pthread_t threads[CLIENTS];
    for (size_t i = 0; i < CLIENTS; i++) {
        JspConnection *connection;
        CHECK(jsp_listener_accept(server->listener, PATIENCE_MS, &connection) == JSP_ERROR_OK);
        CHECK(pthread_create(&threads[i], NULL, echo, connection) == 0);
    }
    for (size_t i = 0; i < CLIENTS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    return NULL;
}

static JspConnection *connected(const char *address)
{
    JspConnection *connection = jsp_connection_new();
    CHECK(jsp_connection_connect(connection, address) == JSP_ERROR_OK);
    CHECK(jsp_connection_handshake(connection) == JSP_ERROR_OK);
    CHECK(jsp_connection_session_id(connection) != 0);
    return connection;
}

static void *ask(void *argument)
{
    const Server *server = argument;
    JspConnection *connection = connected(server->address);
    for (uint32_t i = 0; i < MESSAGES; i++) {
        uint32_t stream, from, answer = 0;
        size_t len;
        CHECK(jsp_connection_open_stream(connection, (uint8_t)i, JSP_DELIVERY_MODE_RELIABLE, &stream) ==
              JSP_ERROR_OK);
        CHECK(jsp_connection_send(connection, stream, (const uint8_t *)&i, sizeof i) == JSP_ERROR_OK);
        // A short buffer is told what it lacks, and the message stays.
        CHECK(jsp_connection_recv(connection, &from, NULL, 0, &len, PATIENCE_MS) == JSP_ERROR_BUFFER_TOO_SMALL);
        CHECK(len == sizeof i);
        CHECK(jsp_connection_recv(connection, &from, (uint8_t *)&answer, sizeof answer, &len, PATIENCE_MS) ==
              JSP_ERROR_OK);
        CHECK(len == sizeof i && answer == i && from == stream);
    }
    CHECK(jsp_connection_close(connection) == JSP_ERROR_OK);
    CHECK(jsp_connection_close(connection) == JSP_ERROR_OK);
    CHECK(jsp_connection_send(connection, 1, (const uint8_t *)"x", 1) == JSP_ERROR_LOCALLY_CLOSED);
    jsp_connection_free(connection);
    return NULL;
}

static Server start(void)
{
    Server server;
    char key_id[JSP_KEY_ID_TEXT];
    CHECK(jsp_listener_new("127.0.0.1:0", NULL, &server.listener) == JSP_ERROR_OK);
    CHECK(jsp_listener_address(server.listener, server.address) == JSP_ERROR_OK);
    CHECK(jsp_listener_key_id(server.listener, key_id) == JSP_ERROR_OK);
    strcat(strcat(server.address, "#"), key_id);
    return server;
}

static void echoes_come_back(void)
{
    Server server = start();
    pthread_t serving, asking[CLIENTS];
    CHECK(pthread_create(&serving, NULL, serve, &server) == 0);
    for (size_t i = 0; i < CLIENTS; i++) {
        CHECK(pthread_create(&asking[i], NULL, ask, &server) == 0);
    }
    for (size_t i = 0; i < CLIENTS; i++) {
        CHECK(pthread_join(asking[i], NULL) == 0);
    }
    CHECK(pthread_join(serving, NULL) == 0);
    CHECK(jsp_listener_close(server.listener) == JSP_ERROR_OK);
    CHECK(jsp_listener_close(server.listener) == JSP_ERROR_CLOSED);
    jsp_listener_free(server.listener);
}

static void null_is_an_error_everywhere(void)
{
    size_t len;
    uint32_t stream;
    uint8_t byte;
    char text[JSP_ADDRESS_TEXT];
    JspConnection *connection;
    JspListener *listener;
    JspConnStats stats = {0};
    stats.size = sizeof stats;
    CHECK(jsp_connection_connect(NULL, "127.0.0.1:1") == JSP_ERROR_NULL);
    CHECK(jsp_connection_handshake(NULL) == JSP_ERROR_NULL);
    CHECK(jsp_connection_session_id(NULL) == 0);
    CHECK(jsp_connection_open_stream(NULL, 0, 0, &stream) == JSP_ERROR_NULL);
    CHECK(jsp_connection_send(NULL, 1, &byte, 1) == JSP_ERROR_NULL);
    CHECK(jsp_connection_recv(NULL, NULL, &byte, 1, &len, 0) == JSP_ERROR_NULL);
    CHECK(jsp_connection_pin(NULL, "") == JSP_ERROR_NULL);
    CHECK(jsp_connection_configure(NULL, NULL) == JSP_ERROR_NULL);
    CHECK(jsp_connection_set_ttl(NULL, 1) == JSP_ERROR_NULL);
    CHECK(jsp_connection_set_keep_alive(NULL, 1) == JSP_ERROR_NULL);
    CHECK(jsp_connection_set_config(NULL, NULL) == JSP_ERROR_NULL);
    CHECK(jsp_connection_rebind(NULL) == JSP_ERROR_NULL);
    CHECK(jsp_connection_close(NULL) == JSP_ERROR_NULL);
    CHECK(jsp_connection_close_text(NULL, text, sizeof text, &len) == JSP_ERROR_NULL);
    CHECK(jsp_connection_peer_key_id(NULL, text) == JSP_ERROR_NULL);
    CHECK(jsp_connection_stats(NULL, &stats) == JSP_ERROR_NULL);
    CHECK(jsp_listener_new(NULL, NULL, &listener) == JSP_ERROR_NULL);
    CHECK(jsp_listener_new("127.0.0.1:0", NULL, NULL) == JSP_ERROR_NULL);
    CHECK(jsp_listener_accept(NULL, 0, &connection) == JSP_ERROR_NULL);
    CHECK(jsp_listener_address(NULL, text) == JSP_ERROR_NULL);
    CHECK(jsp_listener_key_id(NULL, text) == JSP_ERROR_NULL);
    CHECK(jsp_listener_close(NULL) == JSP_ERROR_NULL);
    jsp_connection_free(NULL);
    jsp_listener_free(NULL);
}

static void calls_at_the_wrong_time_are_errors(void)
{
    Server server = start();
    JspConnection *none;
    CHECK(jsp_listener_accept(server.listener, 0, &none) == JSP_ERROR_TIMEOUT);

    JspConnection *early = jsp_connection_new();
    size_t len;
    char text[640];
    CHECK(jsp_connection_close(early) == JSP_ERROR_NOT_CONNECTED);
    CHECK(jsp_connection_rebind(early) == JSP_ERROR_NOT_CONNECTED);
    CHECK(jsp_connection_connect(early, NULL) == JSP_ERROR_NULL);
    CHECK(jsp_connection_connect(early, "no address") == JSP_ERROR_ADDRESS);
    CHECK(jsp_connection_pin(early, "no key id") == JSP_ERROR_INVALID_KEY_ID);
    jsp_connection_free(early);

    // Freed between every two steps: nothing is left behind.
    JspConnection *bound = jsp_connection_new();
    CHECK(jsp_connection_connect(bound, server.address) == JSP_ERROR_OK);
    CHECK(jsp_connection_set_keep_alive(bound, 1) == JSP_ERROR_WRONG_STATE);
    CHECK(jsp_connection_set_config(bound, NULL) == JSP_ERROR_WRONG_STATE);
    jsp_connection_free(bound);
    JspConnection *open = connected(server.address);
    CHECK(jsp_connection_close_text(open, text, sizeof text, &len) == JSP_ERROR_WRONG_STATE);
    CHECK(jsp_connection_recv(open, NULL, NULL, 0, &len, 0) == JSP_ERROR_TIMEOUT);
    jsp_connection_free(open);

    // What was accepted lives on without the listener.
    JspConnection *client = connected(server.address);
    JspConnection *accepted;
    CHECK(jsp_listener_accept(server.listener, PATIENCE_MS, &accepted) == JSP_ERROR_OK);
    if (jsp_connection_session_id(accepted) != jsp_connection_session_id(client)) {
        // The one that was freed came first.
        jsp_connection_free(accepted);
        CHECK(jsp_listener_accept(server.listener, PATIENCE_MS, &accepted) == JSP_ERROR_OK);
    }
    jsp_listener_free(server.listener);
    CHECK(jsp_connection_send(client, 1, (const uint8_t *)"last", 4) == JSP_ERROR_OK);
    CHECK(jsp_connection_close(client) == JSP_ERROR_OK);
    CHECK(jsp_connection_recv(accepted, NULL, (uint8_t *)text, sizeof text, &len, PATIENCE_MS) == JSP_ERROR_OK);
    CHECK(len == 4 && memcmp(text, "last", 4) == 0);
    CHECK(jsp_connection_recv(accepted, NULL, (uint8_t *)text, sizeof text, &len, -1) == JSP_ERROR_PEER_CLOSED);
    CHECK(jsp_connection_close_text(accepted, text, 3, &len) == JSP_ERROR_BUFFER_TOO_SMALL);
    CHECK(jsp_connection_close_text(accepted, text, sizeof text, &len) == JSP_ERROR_OK);
    CHECK(strlen(text) == len && strstr(text, "closed by the peer") != NULL);
    jsp_connection_free(accepted);
    jsp_connection_free(client);
}

#define PIECE 20000
#define PIECES 400
#define REBINDS 3

static void *echo_one(void *argument)
{
    const Server *server = argument;
    JspConnection *connection;
    CHECK(jsp_listener_accept(server->listener, PATIENCE_MS, &connection) == JSP_ERROR_OK);
    CHECK(jsp_connection_rebind(connection) == JSP_ERROR_NOT_A_CLIENT);
    return echo(connection);
}

static void *send_pieces(void *argument)
{
    static uint8_t piece[PIECE];
    JspConnection *connection = argument;
    uint32_t stream;
    CHECK(jsp_connection_open_stream(connection, 1, JSP_DELIVERY_MODE_RELIABLE, &stream) == JSP_ERROR_OK);
    for (uint32_t i = 0; i < PIECES; i++) {
        memset(piece, (int)(i % 251), sizeof piece);
        memcpy(piece, &i, sizeof i);
        CHECK(jsp_connection_send(connection, stream, piece, sizeof piece) == JSP_ERROR_OK);
    }
    return NULL;
}

// The socket is replaced again and again while data goes in both directions.
static void another_socket_loses_nothing(void)
{
    static uint8_t piece[PIECE];
    Server server = start();
    pthread_t serving, sending;
    CHECK(pthread_create(&serving, NULL, echo_one, &server) == 0);
    JspConnection *connection = connected(server.address);
    CHECK(pthread_create(&sending, NULL, send_pieces, connection) == 0);
    for (uint32_t i = 0; i < PIECES; i++) {
        uint32_t number;
        size_t len;
        CHECK(jsp_connection_recv(connection, NULL, piece, sizeof piece, &len, PATIENCE_MS) == JSP_ERROR_OK);
        memcpy(&number, piece, sizeof number);
        CHECK(len == sizeof piece && number == i && piece[4] == i % 251 && piece[PIECE - 1] == i % 251);
        if (i % (PIECES / (REBINDS + 1)) == PIECES / (REBINDS + 1) - 1 && i + 1 < PIECES) {
            CHECK(jsp_connection_rebind(connection) == JSP_ERROR_OK);
        }
    }
    JspConnStats stats = {0};
    stats.size = sizeof stats;
    CHECK(jsp_connection_stats(connection, &stats) == JSP_ERROR_OK);
    CHECK(stats.path_changes == REBINDS);
    CHECK(pthread_join(sending, NULL) == 0);
    CHECK(jsp_connection_close(connection) == JSP_ERROR_OK);
    CHECK(jsp_connection_rebind(connection) == JSP_ERROR_LOCALLY_CLOSED);
    jsp_connection_free(connection);
    CHECK(pthread_join(serving, NULL) == 0);
    jsp_listener_free(server.listener);
}

// A connection that gives up after a second of silence, with or without keepalive.
static JspConnection *impatient(const char *address, uint32_t keep_alive)
{
    JspConnection *connection = jsp_connection_new();
    JspConfig config = {0};
    config.size = sizeof config;
    config.idle_timeout_ns = 1000000000;
    config.server_seed = (const uint8_t *)"nobody serves with a connection.";
    CHECK(jsp_connection_set_config(connection, &config) == JSP_ERROR_INVALID_ARGUMENT);
    config.server_seed = NULL;
    CHECK(jsp_connection_set_config(connection, &config) == JSP_ERROR_OK);
    CHECK(jsp_connection_set_keep_alive(connection, keep_alive) == JSP_ERROR_OK);
    CHECK(jsp_connection_connect(connection, address) == JSP_ERROR_OK);
    CHECK(jsp_connection_handshake(connection) == JSP_ERROR_OK);
    return connection;
}

static void silence_is_bridged_by_keepalive(void)
{
    Server server = start();
    uint8_t byte;
    size_t len;
    JspConnection *kept = impatient(server.address, 1);
    JspConnection *silent = impatient(server.address, 0);
    CHECK(jsp_connection_recv(silent, NULL, &byte, 1, &len, PATIENCE_MS) == JSP_ERROR_IDLE_TIMEOUT);
    CHECK(jsp_connection_recv(kept, NULL, &byte, 1, &len, 3000) == JSP_ERROR_TIMEOUT);
    JspConnStats stats = {0};
    stats.size = sizeof stats;
    CHECK(jsp_connection_stats(kept, &stats) == JSP_ERROR_OK);
    CHECK(stats.keep_alive_pings > 0);
    jsp_connection_free(silent);
    jsp_connection_free(kept);
    jsp_listener_free(server.listener);
}

int main(void)
{
    null_is_an_error_everywhere();
    calls_at_the_wrong_time_are_errors();
    echoes_come_back();
    another_socket_loses_nothing();
    silence_is_bridged_by_keepalive();
    puts("5 tests passed");
    return 0;
}
