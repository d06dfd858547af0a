/*
 * Echoes whatever it is sent, to many clients in one thread, through the polling interface.
 * Run: poll_echo_server 127.0.0.1:4433
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "poll_udp.h"

/* Bytes read at a time: any message that this server accepts. */
#define PIECE 65536

/* A stream and the piece that was read of it and is not sent yet: only one, so that a client that
 * does not read its echo cannot fill the memory. */
typedef struct Echo {
    struct Echo *next;
    uint64_t connection;
    uint64_t stream;
    size_t sent;
    size_t len;
    uint8_t piece[PIECE];
} Echo;

typedef struct Server {
    Udp udp;
    Echo *echoes;
} Server;

static Echo *find(Server *server, const JspEvent *event)
{
    Echo *echo = server->echoes;
    while (echo != NULL &&
           (echo->connection != event->connection || echo->stream != event->stream)) {
        echo = echo->next;
    }
    return echo;
}

/* Forgets the stream of an event, or all streams of its connection if that is over. */
static void forget(Server *server, const JspEvent *event)
{
    Echo **link = &server->echoes, *echo;
    while ((echo = *link) != NULL) {
        if (echo->connection == event->connection &&
            (event->kind == JSP_EVENT_CLOSED || echo->stream == event->stream)) {
            *link = echo->next;
            free(echo);
        } else {
            link = &echo->next;
        }
    }
}

static int is_messages(const Echo *echo)
{
    return (echo->stream >> 2 & 3) != JSP_STREAM_BYTES;
}

/* Sends what is held. At would-block the rest stays held. */
static JspError send_held(JspEndpoint *endpoint, Echo *echo)
{
    JspError error = JSP_ERROR_OK;
    while (error == JSP_ERROR_OK && echo->sent < echo->len) {
        const uint8_t *rest = echo->piece + echo->sent;
        size_t len = echo->len - echo->sent, taken = len;
        error = is_messages(echo)
                    ? jsp_stream_send_message(endpoint, udp_now(), echo->connection, echo->stream,
                                              rest, len, NULL, NULL)
                    : jsp_stream_send(endpoint, udp_now(), echo->connection, echo->stream, rest,
                                      len, &taken);
        echo->sent += error == JSP_ERROR_OK ? taken : 0;
    }
    return error;
}

static JspError receive_piece(JspEndpoint *endpoint, Echo *echo)
{
    echo->sent = echo->len = 0;
    return (is_messages(echo) ? jsp_stream_recv_message : jsp_stream_recv)(
        endpoint, udp_now(), echo->connection, echo->stream, echo->piece, PIECE, &echo->len);
}

/* Sends back what there is to read, as far as there is room. The stream is readable once until all
 * was read: whoever stops for want of room goes on at `JSP_EVENT_STREAM_WRITABLE`. */
static void go_on(Server *server, const JspEvent *event)
{
    JspEndpoint *endpoint = server->udp.endpoint;
    Echo *echo = find(server, event);
    JspError error = echo != NULL ? JSP_ERROR_OK : JSP_ERROR_WOULD_BLOCK;

    while (error == JSP_ERROR_OK) {
        error = send_held(endpoint, echo);
        if (error == JSP_ERROR_OK) {
            error = receive_piece(endpoint, echo);
        }
    }
    if (error == JSP_ERROR_END || error == JSP_ERROR_RESET) {
        jsp_stream_finish(endpoint, udp_now(), event->connection, event->stream);
        forget(server, event);
    } else if (error != JSP_ERROR_WOULD_BLOCK) {
        jsp_stream_stop(endpoint, udp_now(), event->connection, event->stream, event->code);
        forget(server, event);
    }
}

static void begin(Server *server, const JspEvent *event)
{
    int is_one_way = (event->stream & 2) != 0;
    Echo *echo = is_one_way ? NULL : malloc(sizeof(*echo));
    if (echo == NULL) {
        jsp_stream_stop(server->udp.endpoint, udp_now(), event->connection, event->stream, 0);
        return;
    }
    echo->next = server->echoes;
    echo->connection = event->connection;
    echo->stream = event->stream;
    echo->sent = echo->len = 0;
    server->echoes = echo;
}

static void serve(Server *server, const JspEvent *event)
{
    JspEndpoint *endpoint = server->udp.endpoint;
    char why[640] = "";
    size_t len;

    switch (event->kind) {
    case JSP_EVENT_STREAM_OPENED:
        begin(server, event);
        break;
    case JSP_EVENT_STREAM_READABLE:
    case JSP_EVENT_STREAM_WRITABLE:
    case JSP_EVENT_STREAM_RESET:
        go_on(server, event);
        break;
    case JSP_EVENT_STREAM_STOPPED:
        jsp_stream_stop(endpoint, udp_now(), event->connection, event->stream, event->code);
        forget(server, event);
        break;
    case JSP_EVENT_CLOSED:
        jsp_conn_close_text(endpoint, event->connection, why, sizeof(why), &len);
        printf("a client left: %s\n", why);
        fflush(stdout);
        jsp_conn_discard(endpoint, udp_now(), event->connection);
        forget(server, event);
        break;
    default:
        break;
    }
}

static const char *listen_on(Server *server, const char *text)
{
    /* A real server keeps the seed in a file that only it can read, and clients pin the key. */
    uint8_t seed[JSP_SEED_LEN], key[JSP_PUBLIC_KEY_LEN];
    char key_id[JSP_KEY_ID_TEXT], bound[JSP_ADDRESS_TEXT];
    JspConfig config = {0};
    JspAddress address;
    const char *failure;

    if (jsp_address_parse(text, &address) != JSP_ERROR_OK) {
        return "that is no address: give IP:PORT";
    }
    if (jsp_random(seed, sizeof(seed)) != JSP_ERROR_OK ||
        jsp_public_key(seed, key) != JSP_ERROR_OK ||
        jsp_key_id(key, sizeof(key), key_id) != JSP_ERROR_OK) {
        return "cannot make a key";
    }
    config.size = sizeof(config);
    config.server_seed = seed;
    /* Open: clients may fetch the key and look at its id, which is all they need to be told. */
    config.key_fetch = JSP_KEY_FETCH_OPEN;
    config.unix_time_at_origin = (uint64_t)time(NULL) - udp_now() / 1000000000u;
    if ((failure = udp_open(&server->udp, &address, &config)) == NULL) {
        jsp_address_format(&address, bound);
        printf("listening on %s, key %s\n", bound, key_id);
        fflush(stdout);
    }
    return failure;
}

int main(int argc, char **argv)
{
    static Server server;
    const char *address = argc > 1 ? argv[1] : "127.0.0.1:4433";
    const char *failure = listen_on(&server, address);

    while (failure == NULL && (failure = udp_take(&server.udp)) == NULL) {
        for (size_t i = 0; i < server.udp.out.events_len; i++) {
            serve(&server, &server.udp.events[i]);
        }
        failure = udp_wait(&server.udp, NULL);
    }
    fprintf(stderr, "poll_echo_server: %s: %s\n", address, failure);
    return 1;
}
