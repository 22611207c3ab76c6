/*
 * resolve: what the addresses of a host name are by the rules of this machine (getaddrinfo: hosts file, search domains,
 * whatever nsswitch.conf names). That call blocks, for as long as its servers are silent, so each look-up has a thread
 * of its own, which ends with it. discovery/dns.h is for what a given DNS server says.
 */
#ifndef DISCOVERY_RESOLVE_H
#define DISCOVERY_RESOLVE_H

#include "base/err.h"

struct event_base;
struct resolve; /* one look-up under way */

#define RESOLVE_MAX 32 /* further addresses are left out */

struct resolve_answer {
	struct err err; /* -ENOENT no such name or no address of it; -EAGAIN nobody answered for it; -EIO */
	char (*addresses)[46]; /* IPv4 and IPv6 as text, in the order of preference, each once */
	uint32_t n;
};
/* Called once, from the loop, never from inside resolve_start. The answer is valid during the call only. */
typedef void resolve_done_fn(void *arg, const struct resolve_answer *answer);

/* -errno with a sentence when there is no thread to be had; done is not called then. */
int resolve_start(struct event_base *base, const char *host, resolve_done_fn *done, void *arg, struct resolve **out,
    struct err *e);
/* done is not called any more, the thread ends when it can; NULL is fine. */
void resolve_cancel(struct resolve *r);

#endif
