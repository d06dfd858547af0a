#define _POSIX_C_SOURCE 200809L

#include "poll_udp.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <jsp_socket.h>

#define LARGEST_DATAGRAM 2048

uint64_t udp_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static const char *open_socket(Udp *udp, JspAddress *local)
{
    struct sockaddr_storage address;
    socklen_t len;

    if (jsp_address_to_sockaddr(local, AF_UNSPEC, &address, &len) != JSP_ERROR_OK) {
        return "there is no address to bind to";
    }
    udp->family = address.ss_family;
    udp->socket = socket(udp->family, SOCK_DGRAM, 0);
    if (udp->socket < 0 || fcntl(udp->socket, F_SETFL, O_NONBLOCK) != 0 ||
        bind(udp->socket, (struct sockaddr *)&address, len) != 0) {
        return strerror(errno);
    }
    len = sizeof(address);
    if (getsockname(udp->socket, (struct sockaddr *)&address, &len) != 0) {
        return strerror(errno);
    }
    return jsp_address_from_sockaddr((struct sockaddr *)&address, len, local) == JSP_ERROR_OK
               ? NULL
               : "the socket has a strange address";
}

const char *udp_open(Udp *udp, JspAddress *local, const JspConfig *config)
{
    uint8_t seed[JSP_SEED_LEN];
    JspError error;
    const char *failure;

    memset(udp, 0, sizeof(*udp));
    udp->socket = -1;
    if ((failure = open_socket(udp, local)) != NULL) {
        return failure;
    }
    error = jsp_abi_check(JSP_ABI_VERSION);
    if (error == JSP_ERROR_OK) {
        error = jsp_random(seed, sizeof(seed));
    }
    if (error == JSP_ERROR_OK) {
        error = jsp_endpoint_new(config, seed, &udp->endpoint);
    }
    udp->out.size = sizeof(udp->out);
    udp->out.buffer = udp->outgoing;
    udp->out.buffer_len = sizeof(udp->outgoing);
    udp->out.transmits = udp->transmits;
    udp->out.transmits_capacity = UDP_BATCH;
    udp->out.events = udp->events;
    udp->out.events_capacity = UDP_BATCH;
    return error == JSP_ERROR_OK ? NULL : jsp_error_string(error);
}

/* Whether the socket took the datagram. One that it refuses for good is lost, as a network may lose
 * it; only if it has no room the datagram waits. */
static int send_datagram(const Udp *udp, const JspTransmit *transmit)
{
    const uint8_t *data = udp->outgoing + transmit->offset;
    struct sockaddr_storage to;
    socklen_t len;

    if (jsp_address_to_sockaddr(&transmit->remote, udp->family, &to, &len) != JSP_ERROR_OK) {
        return 1;
    }
    return sendto(udp->socket, data, transmit->len, 0, (struct sockaddr *)&to, len) >= 0 ||
           (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

static void send_transmits(Udp *udp)
{
    while (udp->sent < udp->out.transmits_len && send_datagram(udp, &udp->transmits[udp->sent])) {
        udp->sent++;
    }
}

const char *udp_take(Udp *udp)
{
    JspError error;

    udp->out.events_len = 0;
    send_transmits(udp);
    if (udp->sent < udp->out.transmits_len) {
        return NULL;
    }
    error = jsp_endpoint_poll(udp->endpoint, udp_now(), &udp->out);
    if (error != JSP_ERROR_OK) {
        return jsp_error_string(error);
    }
    udp->sent = 0;
    send_transmits(udp);
    return NULL;
}

/* Milliseconds for poll(2), rounded up: waking too early would only mean to wait again. */
static int timeout(const Udp *udp)
{
    uint64_t now = udp_now(), wait;

    if (udp->out.wake_at_ns == JSP_NEVER) {
        return -1;
    }
    if (udp->out.wake_at_ns <= now) {
        return 0;
    }
    wait = (udp->out.wake_at_ns - now + 999999u) / 1000000u;
    return wait > INT_MAX ? INT_MAX : (int)wait;
}

/* Gives the endpoint a batch of what came in. The next waits until this one's answers are sent. */
static const char *receive(Udp *udp)
{
    JspDatagram datagrams[UDP_BUFFER / LARGEST_DATAGRAM];
    size_t count = 0;
    JspError error;

    memset(datagrams, 0, sizeof(datagrams));
    while (count < UDP_BUFFER / LARGEST_DATAGRAM) {
        JspDatagram *datagram = &datagrams[count];
        struct sockaddr_storage storage;
        struct sockaddr *from = (struct sockaddr *)&storage;
        socklen_t from_len = sizeof(storage);
        ssize_t len;

        datagram->offset = count * LARGEST_DATAGRAM;
        len = recvfrom(udp->socket, udp->incoming + datagram->offset, LARGEST_DATAGRAM, 0, from,
                       &from_len);
        if (len < 0) {
            break;
        }
        datagram->len = (size_t)len;
        if (jsp_address_from_sockaddr(from, from_len, &datagram->remote) == JSP_ERROR_OK) {
            count++;
        }
    }
    error = jsp_endpoint_receive(udp->endpoint, udp_now(), udp->incoming, UDP_BUFFER, datagrams,
                                 count);
    return error == JSP_ERROR_OK ? NULL : jsp_error_string(error);
}

const char *udp_wait(Udp *udp, struct pollfd *also)
{
    int is_blocked = udp->sent < udp->out.transmits_len;
    int is_at_once = udp->out.more != 0 || udp->out.events_len > 0;
    int wait = is_blocked ? -1 : is_at_once ? 0 : timeout(udp);
    struct pollfd ready[2];

    memset(ready, 0, sizeof(ready));
    ready[0].fd = udp->socket;
    ready[0].events = is_blocked ? POLLIN | POLLOUT : POLLIN;
    if (also != NULL) {
        ready[1] = *also;
        ready[1].revents = 0;
    }
    if (poll(ready, also != NULL ? 2 : 1, wait) < 0) {
        return errno == EINTR ? NULL : strerror(errno);
    }
    if (also != NULL) {
        also->revents = ready[1].revents;
    }
    return ready[0].revents != 0 ? receive(udp) : NULL;
}

void udp_close(Udp *udp)
{
    jsp_endpoint_free(udp->endpoint);
    if (udp->socket >= 0) {
        close(udp->socket);
    }
}
