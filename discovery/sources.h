/*
 * sources: where a client hears of servers. All are always on, whatever the others say: nothing that one of them has at
 * boot is needed, and each keeps what it said last. What is heard is only that: agent/servers.h decides who is asked.
 *
 *   own          the server role of this agent
 *   set by hand  drover node config -update-servers
 *   configured   client { servers }: an address, or a name whose addresses are looked up again at each look
 *   pushed       the servers' own list, which comes with each answer to a heartbeat
 *   Consul       instances of the servers' service in a blocking read: a new one is known within about a second
 *   Consul DNS   SRV of <service>.service.<domain>
 *   disk         the last list that a server has pushed
 *
 * DNS and names are looked up every minute, and every 1 to 8 s while no server answers.
 */
#ifndef DISCOVERY_SOURCES_H
#define DISCOVERY_SOURCES_H

#include "base/model.h"

struct event_base;
struct consul;
struct sources;

/* Meta of a registered server. */
#define SERVER_META_REGION "drover-region"
#define SERVER_META_LOG    "drover-log"    /* where its journal lies in Consul's KV */
#define SERVER_META_SCHEME "drover-scheme" /* "https" when it speaks TLS */

enum source_kind { SOURCE_OWN, SOURCE_HAND, SOURCE_CONFIGURED, SOURCE_PUSHED, SOURCE_CONSUL, SOURCE_DNS, SOURCE_DISK, SOURCE_KINDS };

struct heard {
	const char *address; /* as in discovery/server_address.h */
	bool ill;            /* Consul's checks of it are critical: asked after the others */
};

struct source {
	enum source_kind kind;
	const char *name;  /* "Consul DNS" */
	const char *where; /* what is asked: a path, a name, an address; "" */
	const char *off;   /* why it is not used, or NULL */
	/* Heard last, by address, each once; stays while it fails, and is gone when it answers that there is none. */
	const struct heard *heard;
	uint32_t n;
	const char *error; /* of the last look: why it failed or named none; NULL */
	int64_t at;        /* of the last result, clock_now(); 0 = none yet */
};

#define SOURCES_MAX        64 /* further configured names are left out */
#define SOURCE_MAX_SERVERS 64 /* of each source; further ones are left out */

struct sources_config { /* copied */
	const char *own;              /* NULL: none */
	const struct strs *configured;
	const char *disk;             /* path of the file */
	struct consul *consul;        /* NULL with consul_off */
	const char *dns;              /* "address:port" of Consul's DNS */
	const char *service, *domain; /* "drover", "consul" */
	const char *region;           /* instances of other regions are not meant */
	const char *log;              /* nor those with another journal, or NULL: any */
	const char *consul_off;       /* why Consul is not asked, or NULL */
	bool secure;                  /* who names no scheme means https */
};

/* on_change: what is heard differs; from the loop, also from inside sources_set and sources_save, never from sources_new.
 * -EINVAL: a configured address is none. */
int sources_new(struct event_base *base, const struct sources_config *config, void (*on_change)(void *arg), void *arg,
    struct sources **out, struct err *e);
void sources_free(struct sources *s);
uint32_t sources_count(const struct sources *s);
const struct source *sources_at(const struct sources *s, uint32_t i); /* valid until the next turn of the loop */
/* SOURCE_HAND, SOURCE_PUSHED: replaces its list; what cannot be read as an address is left out and told. */
void sources_set(struct sources *s, enum source_kind kind, const struct strs *list);
/* Keeps a good list on disk, when it is another one. */
void sources_save(struct sources *s, const struct strs *list);
/* Nobody answers: look now and often; or somebody does. */
void sources_hurry(struct sources *s, bool hurry);

#endif
