/*
 * JetStreamProto for C: from and to the addresses of POSIX sockets.
 *
 * Nothing here is in the library: these are inline functions, so that the library itself knows no
 * platform's `struct sockaddr`.
 */
#ifndef JSP_SOCKET_H
#define JSP_SOCKET_H

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "jsp.h"

/*
 * Reads a socket's address of `len` bytes, as `recvfrom` and `getsockname` give it.
 *
 * Errors: `JSP_ERROR_ADDRESS` if it is none of IPv4 or IPv6 or shorter than its family's;
 * `JSP_ERROR_NULL`.
 */
static inline JspError jsp_address_from_sockaddr(const struct sockaddr *from, socklen_t len,
                                                 JspAddress *out)
{
    struct sockaddr_storage any;

    if (from == NULL || out == NULL) {
        return JSP_ERROR_NULL;
    }
    if ((size_t)len < offsetof(struct sockaddr, sa_data) || (size_t)len > sizeof(any)) {
        return JSP_ERROR_ADDRESS;
    }
    /* Copied, because the bytes may be aligned for less than the family's structure. */
    memset(&any, 0, sizeof(any));
    memcpy(&any, from, (size_t)len);
    memset(out, 0, sizeof(*out));
    if (any.ss_family == AF_INET && (size_t)len >= sizeof(struct sockaddr_in)) {
        struct sockaddr_in v4;
        memcpy(&v4, &any, sizeof(v4));
        out->family = JSP_FAMILY_IPV4;
        out->port = ntohs(v4.sin_port);
        memcpy(out->ip, &v4.sin_addr, sizeof(v4.sin_addr));
        return JSP_ERROR_OK;
    }
    if (any.ss_family == AF_INET6 && (size_t)len >= sizeof(struct sockaddr_in6)) {
        struct sockaddr_in6 v6;
        memcpy(&v6, &any, sizeof(v6));
        out->family = JSP_FAMILY_IPV6;
        out->port = ntohs(v6.sin6_port);
        out->scope_id = v6.sin6_scope_id;
        memcpy(out->ip, &v6.sin6_addr, sizeof(v6.sin6_addr));
        return JSP_ERROR_OK;
    }
    return JSP_ERROR_ADDRESS;
}

/*
 * Writes an address for a socket of `family`: `AF_INET` or `AF_INET6`, or `AF_UNSPEC` for the
 * address's own family. An IPv4 address for a socket of IPv6 becomes a mapped one
 * (`::ffff:192.0.2.1`), as such sockets want it. `*len` is the length for `sendto`, `bind` and
 * `connect`.
 *
 * Errors: `JSP_ERROR_ADDRESS` if there is no address in it, or an IPv6 address for a socket of
 * IPv4; `JSP_ERROR_NULL`.
 */
static inline JspError jsp_address_to_sockaddr(const JspAddress *from, int family,
                                               struct sockaddr_storage *out, socklen_t *len)
{
    if (from == NULL || out == NULL || len == NULL) {
        return JSP_ERROR_NULL;
    }
    memset(out, 0, sizeof(*out));
    *len = 0;
    if (from->family == JSP_FAMILY_IPV4 && (family == AF_INET || family == AF_UNSPEC)) {
        struct sockaddr_in v4;
        memset(&v4, 0, sizeof(v4));
        v4.sin_family = AF_INET;
        v4.sin_port = htons(from->port);
        memcpy(&v4.sin_addr, from->ip, sizeof(v4.sin_addr));
        memcpy(out, &v4, sizeof(v4));
        *len = (socklen_t)sizeof(v4);
    } else if ((from->family == JSP_FAMILY_IPV4 && family == AF_INET6) ||
               (from->family == JSP_FAMILY_IPV6 && (family == AF_INET6 || family == AF_UNSPEC))) {
        struct sockaddr_in6 v6;
        memset(&v6, 0, sizeof(v6));
        v6.sin6_family = AF_INET6;
        v6.sin6_port = htons(from->port);
        if (from->family == JSP_FAMILY_IPV4) {
            uint8_t mapped[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0};
            memcpy(mapped + 12, from->ip, 4);
            memcpy(&v6.sin6_addr, mapped, sizeof(mapped));
        } else {
            v6.sin6_scope_id = from->scope_id;
            memcpy(&v6.sin6_addr, from->ip, sizeof(v6.sin6_addr));
        }
        memcpy(out, &v6, sizeof(v6));
        *len = (socklen_t)sizeof(v6);
    } else {
        return JSP_ERROR_ADDRESS;
    }
#if defined(__APPLE__) || defined(__FreeBSD__) || defined(__NetBSD__) || defined(__OpenBSD__)
    out->ss_len = (uint8_t)*len;
#endif
    return JSP_ERROR_OK;
}

#endif /* JSP_SOCKET_H */
