/*
 * Sends the lines of its standard input to an echo server and prints what comes back, through the
 * polling interface. Run: poll_echo_client 127.0.0.1:4433 jsp1-...
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "poll_udp.h"

/* Room for the longest line. */
#define LINE 65536

typedef struct Client {
    Udp udp;
    uint64_t connection;
    uint64_t stream;
    int is_open, is_input_over, is_closing, is_done;
    /* Lines sent whose echo has not come yet. */
    uint64_t awaited;
    /* What was read of the standard input and is not sent yet. */
    size_t input_len;
    char input[LINE];
    uint8_t echo[LINE];
    /* Why it failed, in words; empty if it has not. */
    char failure[640];
} Client;

static void fail(Client *client, const char *what)
{
    if (what != NULL && client->failure[0] == '\0') {
        snprintf(client->failure, sizeof(client->failure), "%s", what);
    }
}

static void check(Client *client, JspError error)
{
    if (error != JSP_ERROR_OK && error != JSP_ERROR_WOULD_BLOCK) {
        fail(client, jsp_error_string(error));
    }
}

/* Sends whole lines, and at the end of the input the rest, as far as there is room. */
static void send_lines(Client *client)
{
    size_t begin = 0;
    JspError error = JSP_ERROR_OK;

    while (error == JSP_ERROR_OK && begin < client->input_len) {
        const char *line = client->input + begin;
        const char *end = memchr(line, '\n', client->input_len - begin);
        size_t len = end != NULL ? (size_t)(end - line) : client->input_len - begin;
        if (end == NULL && !client->is_input_over) {
            break;
        }
        if (len > 0) {
            error = jsp_stream_send_message(client->udp.endpoint, udp_now(), client->connection,
                                            client->stream, (const uint8_t *)line, len, NULL, NULL);
            client->awaited += error == JSP_ERROR_OK;
        }
        begin += error != JSP_ERROR_OK ? 0 : end != NULL ? len + 1 : len;
    }
    memmove(client->input, client->input + begin, client->input_len - begin);
    client->input_len -= begin;
    check(client, error);
    if (error == JSP_ERROR_OK && client->input_len == LINE) {
        fail(client, "a line is too long: shorten it");
    }
}

static void read_input(Client *client)
{
    char *end = client->input + client->input_len;
    ssize_t len = read(STDIN_FILENO, end, LINE - client->input_len);
    if (len > 0) {
        client->input_len += (size_t)len;
    } else if (len == 0) {
        client->is_input_over = 1;
    } else if (errno != EINTR && errno != EAGAIN) {
        fail(client, strerror(errno));
    }
    send_lines(client);
}

static void print_echoes(Client *client)
{
    JspError error;
    size_t len;

    while ((error = jsp_stream_recv_message(client->udp.endpoint, udp_now(), client->connection,
                                            client->stream, client->echo, LINE, &len)) ==
           JSP_ERROR_OK) {
        fwrite(client->echo, 1, len, stdout);
        putchar('\n');
        client->awaited -= 1;
    }
    fflush(stdout);
    check(client, error);
}

static void handle(Client *client, const JspEvent *event)
{
    JspEndpoint *endpoint = client->udp.endpoint;
    JspStreamOptions options = {0};
    char why[640] = "";
    size_t len;

    switch (event->kind) {
    case JSP_EVENT_CONNECTED:
        options.size = sizeof(options);
        options.kind = JSP_STREAM_ORDERED_MESSAGES;
        check(client, jsp_stream_open(endpoint, udp_now(), client->connection, &options,
                                      &client->stream));
        client->is_open = 1;
        break;
    case JSP_EVENT_STREAM_WRITABLE:
        send_lines(client);
        break;
    case JSP_EVENT_STREAM_READABLE:
        print_echoes(client);
        break;
    case JSP_EVENT_CLOSED:
        jsp_conn_close_text(endpoint, client->connection, why, sizeof(why), &len);
        fail(client, client->is_closing ? NULL : why);
        client->is_done = 1;
        break;
    default:
        break;
    }
}

/* Takes what there is, and waits for the network and, while there is room, for the input. */
static void turn(Client *client)
{
    struct pollfd input = {STDIN_FILENO, POLLIN, 0};
    int wants_input = client->is_open && !client->is_input_over && client->input_len < LINE;

    fail(client, udp_take(&client->udp));
    for (size_t i = 0; i < client->udp.out.events_len; i++) {
        handle(client, &client->udp.events[i]);
    }
    if (client->is_input_over && client->input_len == 0 && client->awaited == 0 &&
        !client->is_closing) {
        client->is_closing = 1;
        check(client, jsp_conn_close(client->udp.endpoint, udp_now(), client->connection, 0,
                                     (const uint8_t *)"bye", 3));
    } else if (!client->is_done) {
        fail(client, udp_wait(&client->udp, wants_input ? &input : NULL));
    }
    if (input.revents != 0) {
        read_input(client);
    }
}

static const char *start(Client *client, const char *address, const char *key_id)
{
    JspClientConfig trust = {0};
    JspAddress remote, local = {0};
    const char *failure;

    trust.size = sizeof(trust);
    trust.trust = key_id != NULL ? JSP_TRUST_KEY_IDS : JSP_TRUST_LOOPBACK_ONLY;
    trust.key_ids = &key_id;
    trust.key_ids_len = 1;
    if (jsp_address_parse(address, &remote) != JSP_ERROR_OK) {
        return "that is no address: give IP:PORT";
    }
    if (key_id != NULL && jsp_key_id_check(key_id) != JSP_ERROR_OK) {
        return "that is no key id: give the one that the server printed";
    }
    local.family = remote.family;
    if ((failure = udp_open(&client->udp, &local, NULL)) == NULL) {
        check(client, jsp_endpoint_connect(client->udp.endpoint, udp_now(), &remote, &trust,
                                           &client->connection));
    }
    return failure;
}

int main(int argc, char **argv)
{
    static Client client;
    const char *address = argc > 1 ? argv[1] : "127.0.0.1:4433";

    client.udp.socket = -1;
    fail(&client, start(&client, address, argc > 2 ? argv[2] : NULL));
    while (client.failure[0] == '\0' && !client.is_done) {
        turn(&client);
    }
    udp_close(&client.udp);
    if (client.failure[0] != '\0') {
        fprintf(stderr, "poll_echo_client: %s: %s\n", address, client.failure);
    }
    return client.failure[0] != '\0';
}
