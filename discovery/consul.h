/*
 * consul: Consul's HTTP API, typed. One struct consul for each process says where Consul is and who we are there. A call
 * names an operation of discovery/consul_ops.def (`&consul_service_register`), gives its arguments, and is answered once,
 * from the loop, with an object of the operation's type (discovery/consul.def). `consul_watch` repeats a read and reports
 * what changed; `consul_channel` makes the same calls from a thread that may block.
 *
 * What Consul does to its callers, and what therefore holds here:
 * - Without the right to see something, most lists are answered empty, not refused. An empty list is no proof of absence
 *   for a token whose rights are in doubt; acl_authorize tells (Consul >= 1.11 also sets `filtered`).
 * - After an error of a write nobody knows whether it was done unless `uncertain` is false. Writes with a body are sent
 *   at most once.
 * - A default read is answered by Consul's leader and may, during a change of leader, be a moment old; `consistent`
 *   excludes that, `stale` lets any server answer, also without a leader.
 */
#ifndef DISCOVERY_CONSUL_H
#define DISCOVERY_CONSUL_H

#include "base/model.h"
#include "discovery/fetch.h"

#define MODEL_DEF "discovery/consul.def"
#include "base/model_structs.h"

struct consul;
struct consul_call;    /* one under way */
struct consul_watch;   /* a read that repeats */
struct consul_channel; /* a connection of one thread */

/* ---- where Consul is ---- */

struct consul_config {
	const char *address;    /* "host:port", "http://host:port", "https://host:port", "unix:///path" */
	const char *token;      /* ACL token; may be NULL */
	const char *token_file; /* goes before token; read again whenever it changes */
	const char *datacenter; /* NULL: the agent's own */
	struct fetch_tls tls;   /* for https */
};

/*
 * Fills what is NULL from the variables that Consul's own tools read: CONSUL_HTTP_ADDR, CONSUL_HTTP_SSL,
 * CONSUL_HTTP_SSL_VERIFY, CONSUL_HTTP_TOKEN, CONSUL_HTTP_TOKEN_FILE, CONSUL_CACERT, CONSUL_CAPATH, CONSUL_CLIENT_CERT,
 * CONSUL_CLIENT_KEY, CONSUL_TLS_SERVER_NAME; the address becomes 127.0.0.1:8500 in the end. Strings go to the arena.
 */
void consul_config_defaults(struct consul_config *c, struct arena *a);
/* Copies the configuration; fetcher may be NULL when only channels are used. -EINVAL names what is wrong with it. */
int consul_new(struct fetcher *fetcher, const struct consul_config *config, struct consul **out, struct err *e);
void consul_free(struct consul *c); /* cancels calls and watches; channels must be gone */
const char *consul_address(const struct consul *c);
/* fn (NULL: nobody) is called from the loop when Consul answers a call after one that got no answer at all: it may have lost everything. */
void consul_on_return(struct consul *c, void (*fn)(void *arg), void *arg);

/* Counted since the start; for metrics and for people. Times are clock_now(), 0 = never. */
struct consul_stats {
	uint64_t calls, failures;
	int64_t last_answer, last_failure;
	char last_error[256];
};
void consul_stats(struct consul *c, struct consul_stats *out); /* any thread */

/* ---- calls ---- */

struct consul_op {
	const char *name, *method, *path, *words;
	bool absence;
	const struct type *request, *answer; /* may be NULL */
};
#define OP(name, method, path, absence, request, answer, words) extern const struct consul_op consul_##name;
#include "discovery/consul_ops.def"
#undef OP

struct consul_args {
	const char *name;         /* for the `*` of the path, escaped here; for the error's sentence in any case */
	const char *const *query; /* further parameters: name, value, name, value, NULL; "" for one without a value */
	const void *object;       /* of the operation's request type */
	const void *body;         /* without a request type: the raw body, or NULL */
	size_t body_len;
	const char *datacenter; /* instead of the configured one */
	bool stale, consistent;
	uint64_t index; /* a blocking read: waits for an index above this one */
	int64_t wait;   /* at most this long (Consul adds up to a sixteenth); 0 = 5 min */
	int64_t timeout;  /* for the whole call; 0 = 10 s; for a blocking read beyond `wait` */
	size_t max_body;  /* of the answer; 0 = 16 MiB, which is also the most that a typed answer may have */
};

struct consul_answer {
	struct err err;  /* code 0: answered. The sentence names Consul's address, the call, its name, and the cause */
	bool uncertain;  /* with an error: a write may have been done, now or later */
	int status;      /* HTTP; 0 = no answer came */
	uint64_t index;  /* X-Consul-Index, at least 1; 0 when the answer has none */
	bool known_leader;    /* X-Consul-KnownLeader */
	bool filtered;        /* X-Consul-Results-Filtered-By-ACLs */
	int64_t last_contact; /* of the answering server with the leader, ns */
	const struct type *type; /* of object */
	void *object;            /* in arena; NULL after an error, when absent, and for operations without answer type */
	struct arena *arena;     /* freed after the callback; see consul_keep */
	const char *raw;         /* the body, ends with a NUL; valid during the callback, or until consul_answer_free */
	size_t raw_len;
};
/* struct consul_services *s = CONSUL_OBJECT(answer, consul_services); asserts the type */
#define CONSUL_OBJECT(answer, c) ((struct c *)consul_object(answer, &type_##c))
void *consul_object(const struct consul_answer *answer, const struct type *type);
/* Inside a callback: the arena of the object becomes the caller's, and the object stays. */
struct arena *consul_keep(const struct consul_answer *answer);

/*
 * Codes of errors: -EACCES no right or no such token (403); -ENOENT no such service, check, session (404, and some 500s);
 * -EINVAL refused as wrong (400); -E2BIG larger than Consul takes (413, or found before sending); -EBUSY too many calls
 * at once, here or there (429); -EAGAIN Consul has no leader or cannot reach it (500, 503); -EIO another answer, or one that
 * cannot be read; -ETIMEDOUT, -ECONNREFUSED and others of fetch: no answer.
 */
typedef void consul_done_fn(void *arg, const struct consul_answer *answer);

/* Never NULL; done is called once, never from inside. Arguments are used up when this returns. At most 1024 at once. */
struct consul_call *consul_call(
    struct consul *c, const struct consul_op *op, const struct consul_args *args, consul_done_fn *done, void *arg);
void consul_cancel(struct consul_call *call); /* done is not called any more; NULL is fine; not from its own done */

/* ---- transactions ---- */

/* Consul's limits as shipped; agent_self tells the ones in force (DebugConfig) and which are larger. A call checks these before it
 * sends: -E2BIG with size and limit. */
#define CONSUL_TXN_MAX_OPS  64
#define CONSUL_TXN_MAX_BODY (512 * 1024)
#define CONSUL_VALUE_MAX    (512 * 1024)
/* Bytes that an operation adds to the body of its transaction, commas included: the sum of all must not be above
 * CONSUL_TXN_MAX_BODY - 2. A value takes 4/3 of its size. */
size_t consul_txn_cost(const struct consul_txn_kv *kv);
/* Adds an operation; the value is not copied. Returns it, for what else is to be set. */
struct consul_txn_kv *consul_txn_add(struct arena *a, struct consul_txn_request *txn, const char *verb, const char *key);

/* ---- watches ---- */

/*
 * Called with the first answer, then with each answer that differs from the one before. A failure is reported once, and
 * again when its code changes; the watch goes on by itself, and the first answer after a failure is reported even when it
 * differs in nothing. consul_unwatch may be called from inside, and consul_free may not.
 */
typedef void consul_report_fn(void *arg, const struct consul_answer *answer);

struct consul_watch_config {
	const struct consul_op *op; /* a read */
	struct consul_args args;    /* copied; index, wait and timeout are the watch's own */
	int64_t wait;               /* of one blocking read; 0 = 5 min */
	int64_t pace;  /* under constant change at most one read in this time, after five at once; 0 = 1 s */
	int64_t poll;  /* time between reads when answers bear no index (those of the agent); 0 = 10 s */
	consul_report_fn *report;
	void *arg;
};

/*
 * The rules of blocking reads (developer.hashicorp.com/consul/api-docs/features/blocking): an index that goes back is
 * dropped, so that the next read answers at once; an index below 1 is taken as 1. After a failure it reads again in 0.5 s, doubling
 * up to 8 s, each a quarter less to a quarter more, and without an index, so that the first answer comes at once. When nothing came
 * at all, it reads again soon after any other call was answered.
 */
struct consul_watch *consul_watch(struct consul *c, const struct consul_watch_config *config);
void consul_unwatch(struct consul_watch *w); /* NULL is fine */

struct consul_watch_state {
	uint64_t index, reads, reports;
	uint32_t failures; /* in a row; 0 = the last read was answered */
	int64_t last_answer, last_failure, next_try; /* clock_now(); 0 = never, next_try 0 = under way */
	const char *error; /* of the last failure; "" */
};
void consul_watch_state(const struct consul_watch *w, struct consul_watch_state *out);

/* ---- from a thread that may block ---- */

struct consul_channel *consul_channel_new(struct consul *c); /* keeps its connection between calls */
void consul_channel_free(struct consul_channel *ch);
/* Returns out->err.code. The answer is the caller's: consul_answer_free. */
int consul_channel_call(
    struct consul_channel *ch, const struct consul_op *op, const struct consul_args *args, struct consul_answer *out);
/* From any thread: a call under way and all later ones end with -ECANCELED, within about a second. */
void consul_channel_stop(struct consul_channel *ch);
void consul_answer_free(struct consul_answer *answer);
#define cleanup_consul_answer CLEANUP(consul_answer_free)

#endif
