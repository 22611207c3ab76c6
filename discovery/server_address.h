/*
 * server_address: where a server answers, as people, DNS and Consul say it, in one form: "host:port" for plain HTTP,
 * "https://host:port" for TLS; IPv6 in brackets. Equal texts are equal servers.
 */
#ifndef DISCOVERY_SERVER_ADDRESS_H
#define DISCOVERY_SERVER_ADDRESS_H

#include "base/err.h"

#define SERVER_PORT        4646
#define SERVER_ADDRESS_STR 288

struct server_address {
	bool secure;
	char host[256]; /* a name or an address, without brackets */
	uint16_t port;
	bool is_name; /* host is no address */
};

/* Reads "host", "host:port", "[::1]:4646", "::1", each also after "http://" or "https://"; secure is what counts without
 * such a scheme, SERVER_PORT without a port. -EINVAL names what is wrong with it. */
int server_address_read(const char *text, bool secure, struct server_address *out, struct err *e);
const char *server_address_format(const struct server_address *a, char out[SERVER_ADDRESS_STR]); /* returns out */
/* Of an address in that form: its URL, without a slash at the end. */
#define SERVER_URL_STR (SERVER_ADDRESS_STR + 8)
const char *server_address_url(const char *address, char out[SERVER_URL_STR]);
bool server_address_is_secure(const char *address);
const char *server_address_bare(const char *address); /* the "host:port" in it */

#endif
