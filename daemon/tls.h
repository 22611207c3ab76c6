/*
 * tls: the server's side of TLS, by OpenSSL under libevent. Both libraries are loaded when TLS is configured and not
 * before: linked, they would cost every agent and command some megabytes and milliseconds.
 */
#ifndef DAEMON_TLS_H
#define DAEMON_TLS_H

#include "base/err.h"

struct bufferevent;
struct event_base;
struct tls;

struct tls_config {
	const char *cert_file, *key_file; /* PEM; the certificate with its chain */
	const char *ca_file;              /* of clients; needed when they are verified */
	bool verify_client;               /* who shows no certificate of that CA is refused */
	const char *min_version;          /* "tls12" or "tls13" */
};

/* Reads the files; the sentence names the file and what is wrong with it. Connections keep what they began with when the
 * tls that made them is freed. */
int tls_new(const struct tls_config *c, struct tls **out, struct err *e);
void tls_free(struct tls *t);
/* For a connection that is about to be accepted; the handshake begins when it gets its descriptor. NULL: out of memory. */
struct bufferevent *tls_accept(struct tls *t, struct event_base *base);

#endif
