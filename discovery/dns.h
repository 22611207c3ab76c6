/*
 * dns: asynchronous look-ups with c-ares on the loop: where a service is (SRV, with the addresses that come with the answer,
 * else looked up) and what the addresses of a name are. It asks the given server alone (Consul's DNS port), or the
 * system's resolvers; it knows no search domains and no hosts file. A truncated answer is asked for again over TCP. Answers
 * with a TTL are kept that long and given without asking again; those of Consul have none unless configured so.
 */
#ifndef DISCOVERY_DNS_H
#define DISCOVERY_DNS_H

#include "base/err.h"

struct event_base;
struct dns;       /* one for each server asked */
struct dns_query; /* one look-up under way */

struct dns_target {
	char host[256];   /* name of the target, without the final dot */
	char address[46]; /* IPv4 or IPv6, as text */
	uint16_t port, priority, weight; /* of SRV; priority and weight 0 for a plain name */
};

#define DNS_MAX_TARGETS 64 /* further ones are left out */

struct dns_answer {
	struct err err; /* -ENOENT no such name or no such records; -ETIMEDOUT; -ECONNREFUSED; -EPROTO garbage; -EIO */
	const struct dns_target *targets; /* ascending priority, within it as the server ordered them */
	uint32_t n;
	int64_t ttl; /* how long this holds, ns; 0 = not at all */
};
/* The answer is valid during the call only. */
typedef void dns_done_fn(void *arg, const struct dns_answer *answer);

/* server: "10.0.0.1:8600", "[::1]:8600" (port 53 when left out), or NULL for the system's. -EINVAL when it is not one. */
int dns_new(struct event_base *base, const char *server, struct dns **out, struct err *e);
void dns_free(struct dns *d); /* cancels what is under way */

/* Never NULL; done is called once, from the loop, never from inside. timeout 0 = 5 s, for all steps together. A target
 * whose name has no address is left out. At most 256 at once (-EBUSY). */
struct dns_query *dns_srv(struct dns *d, const char *name, int64_t timeout, dns_done_fn *done, void *arg);
/* A and AAAA of a name; port is copied into the targets. An address as name is answered with itself. */
struct dns_query *dns_host(
    struct dns *d, const char *name, uint16_t port, int64_t timeout, dns_done_fn *done, void *arg);
void dns_cancel(struct dns_query *q); /* done is not called any more; NULL is fine; not from its own done */

#endif
