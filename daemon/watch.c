/*
 * watch: waiters in hash chains by what they wait for, and in a heap by deadline.
 */
#include "daemon/watch.h"

#include <assert.h>

#include <event2/event.h>

#include "base/clock.h"

struct watch {
	struct link *buckets;
	uint32_t mask, n;
	struct link woken;
	struct heap deadlines;
	struct event *timer;
	int64_t timer_at;
};

static void list_init(struct link *head)
{
	head->prev = head->next = head;
}

static void list_add(struct link *head, struct link *l)
{
	l->prev = head->prev;
	l->next = head;
	head->prev->next = l;
	head->prev = l;
}

static void list_remove(struct link *l)
{
	l->prev->next = l->next;
	l->next->prev = l->prev;
	l->prev = l->next = NULL;
}

struct watch_key watch_table(enum state_table table)
{
	return (struct watch_key){.kind = WATCH_TABLE, .a = table};
}

struct watch_key watch_job(enum watch_kind kind, const char *ns, const char *id)
{
	return (struct watch_key){
	    .kind = kind, .a = hash_bytes(ns, strlen(ns)), .b = hash_bytes(id, strlen(id))};
}

struct watch_key watch_id(enum watch_kind kind, struct uuid id)
{
	return (struct watch_key){.kind = kind, .a = id.hi, .b = id.lo};
}

struct watch_key watch_leader(void)
{
	return (struct watch_key){.kind = WATCH_LEADER};
}

static bool key_eq(struct watch_key a, struct watch_key b)
{
	return a.a == b.a && a.b == b.b && a.kind == b.kind;
}

static uint32_t key_hash(struct watch_key k)
{
	uint64_t h = (k.a + k.kind) * UINT64_C(0x9e3779b97f4a7c15) ^ k.b;

	h ^= h >> 32;
	h *= UINT64_C(0xd6e8feb86659fd93);
	return (uint32_t)(h >> 32);
}

/* ---- deadlines ---- */

static void arm(struct watch *w)
{
	struct heap_item *first = heap_first(&w->deadlines);
	int64_t at = first ? first->key : NEVER, left;
	struct timeval tv;

	if (at == w->timer_at)
		return;
	w->timer_at = at;
	if (at == NEVER) {
		evtimer_del(w->timer);
		return;
	}
	left = MAX(0, at - clock_monotonic());
	tv = (struct timeval){left / SECOND, left % SECOND / 1000 + 1};
	evtimer_add(w->timer, &tv);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct watch *w = arg;
	int64_t now = clock_monotonic();
	struct heap_item *first;

	(void)fd;
	(void)what;
	w->timer_at = NEVER;
	while ((first = heap_first(&w->deadlines)) && first->key <= now) {
		struct waiter *waiter = CONTAINER_OF(first, struct waiter, deadline);

		watch_remove(w, waiter);
		waiter->fn(waiter, true);
	}
	arm(w);
}

/* ---- waiters ---- */

struct watch *watch_new(struct event_base *base)
{
	struct watch *w = xcalloc(1, sizeof(*w));

	w->mask = 63;
	w->buckets = xcalloc(w->mask + 1, sizeof(*w->buckets));
	for (uint32_t i = 0; i <= w->mask; i++)
		list_init(&w->buckets[i]);
	list_init(&w->woken);
	w->timer_at = NEVER;
	w->timer = evtimer_new(base, on_timer, w);
	if (!w->timer)
		die("out of memory");
	return w;
}

void watch_free(struct watch *w)
{
	if (!w)
		return;
	assert(!w->n && w->woken.next == &w->woken);
	event_free(w->timer);
	heap_free(&w->deadlines);
	free(w->buckets);
	free(w);
}

static void grow(struct watch *w)
{
	uint32_t mask = w->mask * 2 + 1;
	struct link *buckets = xcalloc(mask + 1, sizeof(*buckets));

	for (uint32_t i = 0; i <= mask; i++)
		list_init(&buckets[i]);
	for (uint32_t i = 0; i <= w->mask; i++) {
		while (w->buckets[i].next != &w->buckets[i]) {
			struct waiter *waiter = CONTAINER_OF(w->buckets[i].next, struct waiter, link);

			list_remove(&waiter->link);
			list_add(&buckets[key_hash(waiter->key) & mask], &waiter->link);
		}
	}
	free(w->buckets);
	w->buckets = buckets;
	w->mask = mask;
}

void watch_add(struct watch *w, struct waiter *waiter, struct watch_key key, int64_t wait, waiter_fn *fn)
{
	assert(!waiter->link.next);
	if (w->n > w->mask)
		grow(w);
	waiter->key = key;
	waiter->fn = fn;
	waiter->expired = false;
	list_add(&w->buckets[key_hash(key) & w->mask], &waiter->link);
	w->n++;
	heap_set(&w->deadlines, &waiter->deadline, clock_monotonic() + wait);
	arm(w);
}

void watch_remove(struct watch *w, struct waiter *waiter)
{
	if (!waiter->link.next)
		return;
	list_remove(&waiter->link);
	if (waiter->deadline.pos) {
		heap_remove(&w->deadlines, &waiter->deadline);
		w->n--;
	}
}

static void wake(struct watch *w, struct waiter *waiter)
{
	list_remove(&waiter->link);
	heap_remove(&w->deadlines, &waiter->deadline);
	w->n--;
	list_add(&w->woken, &waiter->link);
}

void watch_wake(struct watch *w, struct watch_key key)
{
	struct link *head, *next;

	if (!w->n)
		return;
	head = &w->buckets[key_hash(key) & w->mask];
	for (struct link *l = head->next; l != head; l = next) {
		struct waiter *waiter = CONTAINER_OF(l, struct waiter, link);

		next = l->next;
		if (key_eq(waiter->key, key))
			wake(w, waiter);
	}
}

void watch_wake_all(struct watch *w)
{
	struct heap_item *first;

	while ((first = heap_first(&w->deadlines)))
		wake(w, CONTAINER_OF(first, struct waiter, deadline));
}

static void wake_job(struct watch *w, enum watch_kind kind, const char *ns, const char *id)
{
	watch_wake(w, watch_job(kind, ns, id));
	watch_wake(w, watch_job(WATCH_JOB_ALL, ns, id));
}

void watch_on_change(void *arg, enum state_table table, const void *obj, bool deleted)
{
	struct watch *w = arg;

	(void)deleted;
	if (!w->n)
		return;
	watch_wake(w, watch_table(table));
	if (!obj)
		return;
	switch (table) {
	case TABLE_JOBS: {
		const struct job_entry *j = obj;

		wake_job(w, WATCH_JOB, j->ns, j->id);
		break;
	}
	case TABLE_NODES:
		watch_wake(w, watch_id(WATCH_NODE, ((const struct node_entry *)obj)->id));
		watch_wake(w, watch_id(WATCH_NODE_ALL, ((const struct node_entry *)obj)->id));
		break;
	case TABLE_ALLOCS: {
		const struct alloc *a = obj;

		watch_wake(w, watch_id(WATCH_ALLOC, a->id));
		if (a->node) {
			watch_wake(w, watch_id(WATCH_NODE_WORK, a->node->id));
			watch_wake(w, watch_id(WATCH_NODE_ALL, a->node->id));
		}
		wake_job(w, WATCH_JOB_ALLOCS, a->version->job->ns, a->version->job->id);
		break;
	}
	case TABLE_EVALS: {
		const struct eval_entry *ev = obj;

		watch_wake(w, watch_id(WATCH_EVAL, ev->id));
		if (ev->spec && ev->spec->namespace && ev->spec->job_id)
			wake_job(w, WATCH_JOB_EVALS, ev->spec->namespace, ev->spec->job_id);
		break;
	}
	case TABLE_DEPLOYMENTS:
		watch_wake(w, watch_id(WATCH_DEPLOYMENT, ((const struct deployment_entry *)obj)->id));
		break;
	case TABLE_CONFIG:
	case TABLE_COUNT:
		break;
	}
}

bool watch_has_woken(const struct watch *w)
{
	return w->woken.next != &w->woken;
}

bool watch_deliver(struct watch *w, int64_t budget)
{
	int64_t start = clock_monotonic();
	struct link *last = w->woken.prev; /* who is woken meanwhile runs next time */

	while (watch_has_woken(w)) {
		struct link *l = w->woken.next;
		bool done = l == last;

		list_remove(l);
		CONTAINER_OF(l, struct waiter, link)->fn(CONTAINER_OF(l, struct waiter, link), false);
		if (done)
			break;
		if (clock_monotonic() - start > budget)
			break;
	}
	arm(w);
	return watch_has_woken(w);
}

uint32_t watch_count(const struct watch *w)
{
	return w->n;
}
