/*
 * api: what the handlers of daemon/api_*.c share: ids and prefixes with their error texts, lists with paging, answers by
 * table. Handlers read the state in the turn that serves the request.
 */
#ifndef DAEMON_API_H
#define DAEMON_API_H

#include "base/codec.h"
#include "daemon/daemon.h"

/* 200 with one object. */
void api_answer(struct call *c, const struct type *t, const void *obj);
void api_answer_mode(struct call *c, const struct type *t, const void *obj, enum codec_mode mode);
/* 500 with the sentence: how this API words the refusal of an action. */
void api_refuse(struct call *c, const struct err *e);
/* The answer of an action that made an evaluation; leader_known is what its KnownLeader says. */
void api_answer_eval(struct call *c, const struct core_eval_reply *r, bool leader_known);

/* The answer of an action of which only the index is told. */
void api_answer_index(struct call *c, uint64_t index);

/* The id of the path parameter; answers 500 ("node lookup failed: ...") and returns -EINVAL when it is not one. */
int api_id(struct call *c, const char *param, const char *what, struct uuid *out);
/* A boolean query parameter, read strictly; absent is false. Answers 500 and returns -EINVAL on another word. */
int api_bool(struct call *c, const char *name, bool *out);
/* A whole number of the query; absent is `unset`. Answers 400 and returns -EINVAL on anything else or more than max. */
int api_uint(struct call *c, const char *name, uint64_t unset, uint64_t max, uint64_t *out);
/* Checks the `prefix` of ids; NULL when none is asked for. Answers 500 and returns -EINVAL when it is not hexadecimal
 * or has an odd number of digits. */
int api_prefix(struct call *c, const char *what, const char **out);
/* Decodes the body; an empty body leaves obj as it is. Answers and returns negative on failure. */
int api_decode_optional(struct call *c, const struct type *t, void *obj);
bool api_in_namespace(const struct call *c, const char *ns);

/*
 * A list answer: items that pass the caller's own filters are offered in the order of the list; the page takes those that
 * filter, per_page, next_token and reverse let through and writes X-Nomad-NextToken. A list that is too long for one turn
 * of the loop is streamed, a slice at a time and no faster than it is read: each item is then shown as it is when its turn
 * comes, and left out when it is gone by then, so the answer is at least as new as its index.
 *
 *	if (page_begin(&p, c, &page_evals, watch_table(TABLE_EVALS), index)) return;
 *	... page_offer(&p, entry) ...
 *	page_end(&p);
 */
struct page_key { /* what an item is found by; of uuid or names, one */
	struct uuid id;
	uint64_t index; /* shown in a token before the id; 0 = none */
	const char *ns, *name;
};
struct page_kind {
	/* Writes one item, without the comma. */
	void (*put)(struct call *c, struct buf *b, const void *item, int indent, int depth);
	void (*key)(const void *item, struct page_key *out); /* strings stay the item's */
	const void *(*find)(const struct state *s, const struct page_key *key); /* NULL: it is gone */
	/* What a filter asks: the whole object behind the item, whatever put writes of it. */
	const struct type *type;
	const void *(*view)(struct arena *a, const void *item);
};
extern const struct page_kind page_allocs, page_whole_allocs, page_evals, page_deployments;

struct filter;
struct page {
	struct call *call;
	const struct page_kind *kind;
	struct filter *filter; /* NULL: none */
	const void **items;
	uint32_t n, cap;
	uint64_t per_page; /* 0 = all */
};
/* Checks the query, then blocks as call_block does; true: answered or held, the handler returns. */
bool page_begin(struct page *p, struct call *c, const struct page_kind *kind, struct watch_key key, uint64_t index);
void page_offer(struct page *p, const void *item);
void page_end(struct page *p);

/* api_legacy.c: the sums that clients of the old form of the API read (TaskResources in `alloc status`, ...). */
void api_legacy_allocation(struct arena *a, struct allocation *v);
void api_legacy_node(struct arena *a, struct node *n);

/* Items that several lists have. */
void api_put_eval(struct call *c, struct buf *b, const void *eval_entry, int indent, int depth);
void api_put_deployment(struct call *c, struct buf *b, const void *deployment_entry, int indent, int depth);
/* Deployments of one job (NULL: of all), newest first. */
void api_offer_deployments(struct page *p, const struct state *s, const char *ns, const char *job_id, const char *prefix);
/* The limits by which jobs are made canonical and checked. */
struct admit_limits;
void api_limits(const struct call *c, struct admit_limits *out);

#endif
