/* dns_server: a DNS server for tests that answers over UDP and TCP, on one port, whatever the test's function makes up. */
#ifndef TESTS_LIB_DNS_SERVER_H
#define TESTS_LIB_DNS_SERVER_H

#include "base/util.h"

struct dns_server;

/* One message that came in, and the answer that is being made. */
struct dns_exchange {
	struct dns_server *server;
	void *arg;
	bool tcp;
	int nth;        /* messages before this one */
	char name[256]; /* asked for */
	uint16_t type;
	uint8_t out[4096];
	size_t n;
	int answers, others;
	bool silent;        /* nothing is sent */
	void *private;
};
typedef void dns_answer_fn(struct dns_exchange *x);

struct dns_server *dns_server_start(dns_answer_fn *answer, void *arg);
void dns_server_stop(struct dns_server *s);
const char *dns_server_address(const struct dns_server *s); /* "127.0.0.1:PORT" */
int dns_server_messages(const struct dns_server *s);
int dns_server_tcp_messages(const struct dns_server *s);

/* For answer functions. The answer begins as header and question of what was asked; records of the answer come first. */
void answer_srv(struct dns_exchange *x, uint32_t ttl, int priority, int port, const char *target);
void answer_a(struct dns_exchange *x, const char *owner, uint32_t ttl, const char *address);
void answer_cname(struct dns_exchange *x, const char *owner, const char *target);
void further_a(struct dns_exchange *x, const char *owner, uint32_t ttl, const char *address); /* additional section */
void answer_code(struct dns_exchange *x, int rcode);
void answer_truncated(struct dns_exchange *x);
void answer_bytes(struct dns_exchange *x, const void *p, size_t n);
/* Sends what there is now; what is sent at the end comes after it. */
void answer_send(struct dns_exchange *x);

#endif
