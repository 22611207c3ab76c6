/*
 * conn: the insides of the HTTP server: a connection, and what all connections share. httpd.c accepts, follows and ends
 * connections; reply.c writes what is answered on them. Nobody else includes this.
 */
#ifndef DAEMON_CONN_H
#define DAEMON_CONN_H

#include "daemon/call.h"
#include "daemon/httpd.h"

struct bufferevent;
struct evhttp;
struct evhttp_connection;
struct evconnlistener;
struct event;

enum conn_state { CONN_IDLE, CONN_READING, CONN_ANSWERING, CONN_WRITING };

struct conn {
	struct link link;  /* in httpd.conns or httpd.fresh */
	struct link ready; /* in httpd.ready while an answer is to be written */
	struct httpd *httpd;
	struct bufferevent *bev;
	struct evhttp_connection *evcon;
	struct call *call;   /* under way, or NULL */
	struct event *hangup; /* while a call is held */
	bool broken;          /* cut when everything is written */
	bool secure;          /* bytes go through TLS, not straight to the socket */
	enum conn_state state;
	int64_t since; /* monotonic: of the state */
	uint64_t got;  /* bytes of the request that is being read */
	uint32_t peer; /* hash of the address */
};

struct httpd {
	struct event_base *base;
	struct daemon *daemon;
	struct evhttp *http;
	struct evconnlistener *listener;
	struct event *adopt, *sweep, *accept_again;
	struct router *router;
	struct tls *tls; /* NULL: none */
	struct link conns, fresh;
	struct event *flush, *turn; /* reply.c: answers to be written; work in slices */
	struct link ready, turns;
	struct call *pool;
	uint32_t n_pool, n_conns;
	uint16_t *per_peer; /* connections by hash of the address */
	struct conn **by_fd;
	size_t cap_fd;
	struct httpd_config config;
	struct httpd_stats stats;
	int port;
	int64_t date_of; /* the second that date is the text of */
	char date[40];
};
/* Lists of struct link: head is a link itself; an item that is in none has NULL in it. */
static inline void list_init(struct link *head)
{
	head->prev = head->next = head;
}

static inline void list_add(struct link *head, struct link *l)
{
	l->prev = head->prev;
	l->next = head;
	head->prev->next = l;
	head->prev = l;
}

static inline void list_remove(struct link *l)
{
	if (!l->next)
		return;
	l->prev->next = l->next;
	l->next->prev = l->prev;
	l->prev = l->next = NULL;
}

/* ---- httpd.c, for reply.c ---- */
void httpd_give_back(struct call *c); /* the call is over: to the pool */

/* ---- reply.c, for httpd.c ---- */
void reply_start(struct httpd *h, struct event_base *base);
void reply_stop(struct httpd *h);
/* The connection ends: nothing is written or noticed on it any more. */
void reply_forget(struct conn *conn);

#endif
