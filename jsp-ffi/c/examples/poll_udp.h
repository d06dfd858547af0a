/* One UDP socket and the endpoint on it, for the examples of the polling interface. */
#ifndef POLL_UDP_H
#define POLL_UDP_H

#include <poll.h>

#include <jsp.h>

#define UDP_BATCH 64
#define UDP_BUFFER 65536

typedef struct Udp {
    int socket;
    int family;
    JspEndpoint *endpoint;
    /* What the last call of `udp_take` brought; its events are the program's to handle. */
    JspPoll out;
    /* How many of its datagrams the socket has taken. */
    size_t sent;
    JspTransmit transmits[UDP_BATCH];
    JspEvent events[UDP_BATCH];
    uint8_t outgoing[UDP_BUFFER];
    uint8_t incoming[UDP_BUFFER];
} Udp;

/* The time of a clock that only goes forward, in nanoseconds. */
uint64_t udp_now(void);

/* Opens the socket at `local`, which then says where that is, and the endpoint. NULL, or what
 * failed. */
const char *udp_open(Udp *udp, JspAddress *local, const JspConfig *config);

/* Sends what there is to send and takes events into `out`. Handle them, then `udp_wait`. NULL, or
 * what failed. */
const char *udp_take(Udp *udp);

/* Waits for datagrams, for the time that the endpoint asked for, and for `also` unless it is NULL,
 * and gives the endpoint what came in. Does not wait if handling events may have given it something
 * to say. NULL, or what failed. */
const char *udp_wait(Udp *udp, struct pollfd *also);

void udp_close(Udp *udp);

#endif
