// Sends the lines of its standard input to an echo server and prints what comes back, by the blocking interface.
// Run: blocking_echo_client 127.0.0.1:8080#jsp1-...

#include "jetstream_proto.h"

#include <stdio.h>
#include <stdlib.h>

#define LARGEST_MESSAGE 65536
#define PATIENCE_MS 10000

static int fail(const char *what, JspError error)
{
    fprintf(stderr, "%s: %s\n", what, jsp_error_string(error));
    return EXIT_FAILURE;
}

// Sends one line and prints its echo.
static JspError exchange(JspConnection *connection, uint32_t stream, const char *line, size_t len)
{
    static uint8_t answer[LARGEST_MESSAGE];
    size_t answer_len;
    JspError error = jsp_connection_send(connection, stream, (const uint8_t *)line, len);
    if (error == JSP_ERROR_OK) {
        error = jsp_connection_recv(connection, NULL, answer, sizeof answer, &answer_len, PATIENCE_MS);
    }
    if (error == JSP_ERROR_OK) {
        printf("%.*s\n", (int)answer_len, (const char *)answer);
    }
    return error;
}

int main(int argc, char **argv)
{
    const char *address = argc > 1 ? argv[1] : "127.0.0.1:8080";
    JspConnection *connection = jsp_connection_new();
    JspError error = jsp_connection_connect(connection, address);
    if (error == JSP_ERROR_OK) {
        error = jsp_connection_handshake(connection);
    }
    uint32_t stream;
    if (error == JSP_ERROR_OK) {
        error = jsp_connection_open_stream(connection, 128, JSP_DELIVERY_MODE_RELIABLE, &stream);
    }
    if (error != JSP_ERROR_OK) {
        jsp_connection_free(connection);
        return fail(address, error);
    }
    static char line[LARGEST_MESSAGE];
    while (error == JSP_ERROR_OK && fgets(line, sizeof line, stdin) != NULL) {
        size_t len = strcspn(line, "\n");
        if (len > 0) {
            error = exchange(connection, stream, line, len);
        }
    }
    // Delivers what is left, and says so.
    JspError closed = jsp_connection_close(connection);
    jsp_connection_free(connection);
    if (error != JSP_ERROR_OK) {
        return fail("talking to the server", error);
    }
    return closed == JSP_ERROR_OK ? EXIT_SUCCESS : fail("closing", closed);
}
