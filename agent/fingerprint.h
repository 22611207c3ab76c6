/*
 * fingerprint: what this machine is and has, as the Node that the client registers. Each probe is one function of one
 * concern, listed in the table of fingerprint.c. Probes read a few small files and never wait, so that an agent is
 * ready within milliseconds.
 */
#ifndef AGENT_FINGERPRINT_H
#define AGENT_FINGERPRINT_H

#include "agent/client.h"
#include "discovery/consul.h"

struct fingerprint {
	struct arena *arena;
	struct node *node;
	const struct client_config *config;
	const char *root; /* "" or, in tests, a folder that holds proc/, sys/ and etc/ */
};

/* Fills in a whole node but for id and secret. */
void fingerprint_node(struct fingerprint *f);
/* consul.*, unique.consul.name, as the local Consul agent says. Whether anything of it is new. */
bool fingerprint_consul(struct fingerprint *f, const struct consul_agent_self *self);
void fingerprint_set_class(struct fingerprint *f); /* after a change */
/* A stable hash of what is not unique to one machine: nodes of one class are feasible for the same groups. */
uint64_t fingerprint_class(const struct node *n);

/* The probes. */
void fingerprint_cpu(struct fingerprint *f);     /* cpu.* */
void fingerprint_memory(struct fingerprint *f);  /* memory.* */
void fingerprint_host(struct fingerprint *f);    /* kernel.*, os.*, unique.hostname, versions */
void fingerprint_cgroup(struct fingerprint *f);  /* os.cgroups.version, unique.cgroup.* */
void fingerprint_storage(struct fingerprint *f); /* unique.storage.* */
void fingerprint_network(struct fingerprint *f); /* unique.network.* */
void fingerprint_drivers(struct fingerprint *f); /* driver.* */

/* For the probes. */
void fingerprint_set(struct fingerprint *f, const char *key, const char *fmt, ...) PRINTF(3, 4);
int fingerprint_read(const struct fingerprint *f, const char *path, struct buf *out); /* below root, at most 1 MiB */
/* Value of "key<sep> value" in the text of a file like /proc/cpuinfo; NULL when there is none. */
char *fingerprint_line(struct arena *a, const char *text, const char *key, char sep);

#endif
