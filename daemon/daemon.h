/*
 * daemon: the running agent: configuration, the loop, the server role (core and journal), the client role, the HTTP
 * server, and the watch that wakes held requests. One thread owns all of it; a journal thread runs commits.
 */
#ifndef DAEMON_DAEMON_H
#define DAEMON_DAEMON_H

#include "agent/client.h"
#include "daemon/config.h"
#include "daemon/httpd.h"
#include "sched/core.h"

struct event_base;
struct server;  /* daemon/server.h: the core on the loop */
struct watch;   /* daemon/watch.h: who waits for what */
struct fetcher; /* discovery/fetch.h */
struct consul;  /* discovery/consul.h */
struct services; /* discovery/services.h: what this agent wants in Consul */
struct members; /* daemon/members.h: the servers */
struct witness; /* daemon/witness.h: what Consul says of machines */
struct sweep;   /* daemon/sweep.h: what machines that are gone left in Consul */

struct daemon {
	struct event_base *base;
	struct config *config;
	struct httpd *httpd;
	struct server *server;   /* NULL without the role */
	struct client *client;   /* NULL without the role */
	struct server_link *link;
	struct fetcher *fetcher;
	struct consul *consul;     /* NULL without a consul {} block */
	struct services *services; /* the same */
	struct members *members;
	struct witness *witness;   /* NULL without a server role */
	struct sweep *sweep;       /* NULL where there is nothing to do */
	struct uuid id;            /* of this agent, kept in its data folder */
	char id_text[UUID_STR];
	int64_t started_at;
	int64_t task_files; /* soft limit of open files as this process found it; 0 = unchanged */
};

/* Runs until a signal; returns the exit code: 0; 1 after an error; EXIT_NEWER when the shared journal has a format of a newer
 * release and there is no client role for which it would be worth staying. */
#define EXIT_NEWER 3
int daemon_run(struct config *c);

#endif
