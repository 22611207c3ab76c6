/*
 * consul_server: a real Consul datacenter for unit tests, run by tests/e2e/consul.py: servers and client agents on loopback
 * addresses of their own. Agents are counted from 0, servers first. Everything that goes wrong fails the test. When the test
 * dies, Consul ends with it.
 */
#ifndef TESTS_LIB_CONSUL_SERVER_H
#define TESTS_LIB_CONSUL_SERVER_H

#include "base/util.h"

struct consul_server;

struct consul_server *consul_server_start(const char *options); /* "--servers 3 --clients 1 --acl --tls", or "" */
void consul_server_stop(struct consul_server *s);
/* One of the commands of consul.py: "address 0", "https 0", "dns 0", "socket 0", "name 0", "tls ca", "token" (the management
 * token), "token RULES" (a new one), "kill 0", "leave 0", "pause 0", "resume 0", "start 0", "ready" (waits for all),
 * "leader" (its number). The answer holds until the eighth next call. */
const char *consul_server_ask(struct consul_server *s, const char *fmt, ...) PRINTF(2, 3);

#endif
