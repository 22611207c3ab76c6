/*
 * servers: the servers that a client knows, merged from all sources (discovery/sources.h), and which of them is to be
 * asked. It decides and remembers, and asks nobody.
 *
 * Order: the server of this agent and those set by hand, then the others, then those whose checks in Consul are critical;
 * among equals each client has an order of its own, made of its seed and the address: the clients of a fleet spread, those
 * of a server that dies spread over all others, and a further server takes its share from all. One that fails is left
 * alone for a time that doubles, and is never forgotten while a source names it.
 */
#ifndef AGENT_SERVERS_H
#define AGENT_SERVERS_H

#include "discovery/sources.h"

struct servers;

#define SERVERS_MAX 128 /* further ones are left out */
#define SERVERS_AGAIN_FIRST (500 * MILLI)
#define SERVERS_AGAIN_MAX   (30 * SECOND) /* of one that does not answer */
#define SERVERS_AGAIN_LIVES (2 * SECOND)  /* of one that answers that it cannot */
#define SERVERS_HOME        (60 * SECOND) /* how often one that comes before the present one is tried; half to one and a half of it */

struct server {
	const char *address;
	int tier; /* 0 asked first */
	uint64_t rank;
	unsigned failures; /* in a row */
	int64_t again;     /* not before, monotonic; 0 = any time */
	const char *error; /* of the last failure; NULL when it has answered since */
	int64_t answered, failed; /* last, clock_now(); 0 = never */
};

struct servers *servers_new(uint64_t seed);
void servers_free(struct servers *s);
/* Takes what the sources name now; the present one stays in any case. Returns whether somebody should be asked at once:
 * a server has come, or is well again, or is to be preferred to the present one. now: monotonic. */
bool servers_take(struct servers *s, const struct sources *from, int64_t now);
/* Whom to ask: the present one while it is well, then by order those that may be asked now; not those in `except`. With `any`,
 * when there is none, the one that comes first of those left alone. NULL: nobody. */
const struct server *servers_pick(struct servers *s, const struct strs *except, bool any, int64_t now);
/* One to be tried instead of the present one, because it comes before it; NULL as a rule. At most once in SERVERS_HOME. */
const struct server *servers_home(struct servers *s, int64_t now);
/* It is the present one from here on; returns whether it was not before. */
bool servers_answered(struct servers *s, const char *address);
/* lives: it answered, but that it cannot. Returns whether it was the present one and well until now. */
bool servers_failed(struct servers *s, const char *address, bool lives, const char *why, int64_t now);
/* The one that answered last; NULL when it has failed since. */
const struct server *servers_present(const struct servers *s);
uint32_t servers_count(const struct servers *s);
const struct server *servers_at(const struct servers *s, uint32_t i); /* by address */
/* Why nobody can be asked or answers, of the servers and of the sources: part of a sentence. */
void servers_explain(const struct servers *s, const struct sources *from, struct buf *out);

#endif
