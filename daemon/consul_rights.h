/*
 * consul_rights: what drover needs to be allowed in Consul, as one table: by role, and by what is configured. The policies that
 * people are shown, the questions that are asked about a token, and the tests with ACLs are made from it.
 */
#ifndef DAEMON_CONSUL_RIGHTS_H
#define DAEMON_CONSUL_RIGHTS_H

#include "daemon/config.h"
#include "discovery/consul.h"

enum consul_role { CONSUL_OF_SERVER = 1, CONSUL_OF_CLIENT = 2 };

struct consul_right {
	const char *resource; /* agent, key, node, service, session */
	const char *segment;  /* "drover/global/"; "" = all of them */
	bool prefix;          /* for everything that begins so */
	const char *access;   /* read, write */
	const char *why;
};

/* struct consul_right, the smallest set that suffices for these roles; each resource and segment once. */
void consul_rights(const struct config *c, unsigned roles, struct arena *a, struct objs *out);
/* As rules of a policy, in Consul's language. */
void consul_rights_policy(const struct objs *rights, struct buf *out);
/* As questions for acl_authorize, in the same order: about a prefix it is asked by something that begins so. */
struct consul_acl_questions *consul_rights_questions(const struct objs *rights, struct arena *a);

/* Where Consul is, by the configuration; what is not given there comes from the variables of Consul's own tools. */
void config_consul(const struct config *c, struct arena *a, struct consul_config *out);

#endif
