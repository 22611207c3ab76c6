/* consul_internal: what the files of consul share: the process's struct, and a call as HTTP request and answer. */
#ifndef DISCOVERY_CONSUL_INTERNAL_H
#define DISCOVERY_CONSUL_INTERNAL_H

#include <pthread.h>
#include <sys/queue.h>
#include <sys/stat.h>

#include "discovery/consul.h"

struct event_base;

TAILQ_HEAD(consul_calls, consul_call);
TAILQ_HEAD(consul_watches, consul_watch);

struct consul {
	struct arena *arena; /* of the strings here */
	struct fetcher *fetcher;
	struct event_base *base;
	const char *url;         /* "http://127.0.0.1:8500" */
	const char *shown;       /* for people */
	const char *unix_socket; /* NULL for TCP */
	const char *datacenter, *token_file;
	struct fetch_tls tls;
	struct consul_calls calls;
	struct consul_watches watches;
	unsigned n_calls;
	bool away; /* the last call on the loop got no answer at all */
	void (*on_return)(void *arg);
	void *on_return_arg;
	uint64_t random;

	pthread_mutex_t lock; /* of what follows: channels use it from their threads */
	char *token;
	struct stat token_stat; /* of the file when it was last read */
	struct consul_stats stats;
};

/* A call made ready; headers and url live as long as it does. */
struct consul_request {
	const struct consul_op *op;
	char *what; /* `Consul 127.0.0.1:8500, registering service "web"` */
	char *url, *token_header;
	const char *headers[2];
	struct buf body;
	struct fetch_request fetch;
};
int consul_request_init(
    struct consul_request *r, struct consul *c, const struct consul_op *op, const struct consul_args *args, struct err *e);
void consul_request_free(struct consul_request *r);
/* What Consul's answer, or its absence, comes to. out->raw points into `in`. */
void consul_request_judge(
    struct consul *c, const struct consul_request *r, struct fetch_answer *in, struct consul_answer *out);

/* The token of this moment, owned; NULL when there is none. */
int consul_token(struct consul *c, char **out, struct err *e);
void consul_wipe(char *secret); /* wipes and frees; NULL is fine */
/* A duration of about d: a quarter less to a quarter more. */
int64_t consul_jitter(struct consul *c, int64_t d);
void consul_watch_end_all(struct consul *c);
/* Consul answers again: watches that got no answer do not wait out their back-off. */
void consul_watch_hurry_all(struct consul *c);

#endif
