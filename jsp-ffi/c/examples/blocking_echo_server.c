// Echoes the messages of many clients, one thread for each, by the blocking interface.
// Run: blocking_echo_server 127.0.0.1:8080

#include "jetstream_proto.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define LARGEST_MESSAGE 65536

// Serves one client until it goes.
static void *echo(void *argument)
{
    JspConnection *connection = argument;
    uint8_t *message = malloc(LARGEST_MESSAGE);
    JspError error = message != NULL ? JSP_ERROR_OK : JSP_ERROR_SYSTEM;
    while (error == JSP_ERROR_OK) {
        uint32_t stream;
        size_t len;
        error = jsp_connection_recv(connection, &stream, message, LARGEST_MESSAGE, &len, -1);
        if (error == JSP_ERROR_OK) {
            error = jsp_connection_send(connection, stream, message, len);
        }
    }
    printf("a client left: %s\n", jsp_error_string(error));
    fflush(stdout);
    free(message);
    jsp_connection_free(connection);
    return NULL;
}

static int fail(const char *what, JspError error)
{
    fprintf(stderr, "%s: %s\n", what, jsp_error_string(error));
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    const char *address = argc > 1 ? argv[1] : "127.0.0.1:8080";
    JspListener *listener;
    // A real server keeps the seed in a file that only it can read, and its key id stays the same.
    JspError error = jsp_listener_new(address, NULL, &listener);
    if (error != JSP_ERROR_OK) {
        return fail(address, error);
    }
    char bound[JSP_ADDRESS_TEXT];
    char key_id[JSP_KEY_ID_TEXT];
    jsp_listener_address(listener, bound);
    jsp_listener_key_id(listener, key_id);
    printf("listening on %s, key %s\n", bound, key_id);
    fflush(stdout);

    for (;;) {
        JspConnection *connection;
        error = jsp_listener_accept(listener, -1, &connection);
        if (error != JSP_ERROR_OK) {
            break;
        }
        pthread_t thread;
        if (pthread_create(&thread, NULL, echo, connection) != 0) {
            jsp_connection_free(connection);
            continue;
        }
        pthread_detach(thread);
    }
    jsp_listener_free(listener);
    return fail("accepting", error);
}
