#include "jetstream_proto.h"
#include <stdio.h>

int main() {
    // Create connection
    JspConnection* conn = jsp_connection_new();
    
    // Connect
    JspError err = jsp_connection_connect(conn, "127.0.0.1:8080");
    if (err != JSP_ERROR_OK) {
        fprintf(stderr, "Connection failed: %d\n", err);
        return 1;
    }
    
    // Handshake
    err = jsp_connection_handshake(conn);
    if (err != JSP_ERROR_OK) {
        fprintf(stderr, "Handshake failed: %d\n", err);
        return 1;
    }
    
    // Open stream
    unsigned int stream_id;
    err = jsp_connection_open_stream(conn, 1, JSP_DELIVERY_MODE_RELIABLE, &stream_id);
    
    // Send message
    const char* message = "Hello from C!";
    err = jsp_connection_send(conn, stream_id, (const uint8_t*)message, strlen(message));
    
    // Close
    jsp_connection_close(conn);
    jsp_connection_free(conn);
    
    return 0;
}
