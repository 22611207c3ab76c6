/*
 * Each look-up has a c-ares channel of its own, made when it starts: so cancelling is destroying, /etc/resolv.conf is read
 * as it is now, and an agent that looks nothing up holds no memory for it. c-ares calls back from inside of its functions,
 * where its channel must not be destroyed; its callbacks only record, and all that follows happens in `step`, an event.
 */
#include "discovery/dns.h"

#include <ares.h>
#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <strings.h>
#include <sys/queue.h>

#include "base/clock.h"
#include "discovery/dns_message.h"

enum { TYPE_A = 1, TYPE_AAAA = 28, TYPE_SRV = 33, CLASS_IN = 1 };

#define MAX_QUERIES 256
#define MAX_KEPT    64
#define MAX_TTL     HOUR
#define FIRST_TRY   500 /* ms; c-ares doubles it with each of */
#define TRIES       4

struct kept { /* an answer with a TTL */
	char *key; /* NULL: free */
	int64_t until; /* monotonic */
	struct dns_target *targets;
	uint32_t n;
};

TAILQ_HEAD(dns_queries, dns_query);

struct dns {
	struct event_base *base;
	char *server; /* for ares_set_servers_ports_csv; NULL = the system's */
	char *shown;
	struct dns_queries queries;
	unsigned n;
	struct kept kept[MAX_KEPT];
};

struct socket {
	SLIST_ENTRY(socket) list;
	struct dns_query *owner;
	evutil_socket_t fd;
	struct event *event;
};

struct dns_query {
	TAILQ_ENTRY(dns_query) list;
	struct dns *owner; /* NULL while done is called */
	ares_channel channel;
	bool open;
	SLIST_HEAD(, socket) sockets;
	struct event *step, *timer, *deadline;
	char *name;
	bool is_service;
	bool asked_hosts; /* the second round is under way or done */
	uint16_t port;
	unsigned outstanding;
	struct dns_records records;
	struct err err; /* the first thing that went wrong */
	bool given;     /* targets need no asking */
	struct dns_target targets[DNS_MAX_TARGETS];
	uint32_t n_targets;
	int64_t ttl;
	dns_done_fn *done;
	void *arg;
};

/* ---- answers that are kept ---- */

static struct kept *find_kept(struct dns *d, const char *key)
{
	for (size_t i = 0; i < MAX_KEPT; i++)
		if (d->kept[i].key && str_eq(d->kept[i].key, key))
			return &d->kept[i];
	return NULL;
}

static void drop_kept(struct kept *k)
{
	free(k->key);
	free(k->targets);
	memset(k, 0, sizeof(*k));
}

static char *key_of(const struct dns_query *q)
{
	return xasprintf("%c%s", q->is_service ? 'S' : 'H', q->name);
}

static bool take_kept(struct dns_query *q)
{
	cleanup_free char *key = key_of(q);
	struct kept *k = find_kept(q->owner, key);
	int64_t now = clock_monotonic();

	if (!k || k->until <= now)
		return false;
	memcpy(q->targets, k->targets, k->n * sizeof(*k->targets));
	q->n_targets = k->n;
	q->ttl = k->until - now;
	for (uint32_t i = 0; i < q->n_targets && !q->is_service; i++)
		q->targets[i].port = q->port;
	return true;
}

/* In the place of the same, else of one that is free or has the least time left. */
static void keep(struct dns_query *q)
{
	char *key = key_of(q);
	struct kept *place = find_kept(q->owner, key);

	for (size_t i = 0; !place && i < MAX_KEPT; i++)
		if (!q->owner->kept[i].key)
			place = &q->owner->kept[i];
	if (!place) {
		place = q->owner->kept;
		for (size_t i = 1; i < MAX_KEPT; i++)
			if (q->owner->kept[i].until < place->until)
				place = &q->owner->kept[i];
	}
	drop_kept(place);
	*place = (struct kept){.key = key, .until = clock_monotonic() + q->ttl, .n = q->n_targets};
	place->targets = xcalloc(q->n_targets, sizeof(*place->targets));
	memcpy(place->targets, q->targets, q->n_targets * sizeof(*place->targets));
}

/* ---- c-ares on the loop ---- */

static void rearm(struct dns_query *q)
{
	struct timeval tv, *next = ares_timeout(q->channel, NULL, &tv);

	if (next)
		event_add(q->timer, next);
	else
		event_del(q->timer);
}

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
	struct dns_query *q = arg;

	ares_process_fd(q->channel, what & EV_READ ? fd : ARES_SOCKET_BAD, what & EV_WRITE ? fd : ARES_SOCKET_BAD);
	rearm(q);
}

static void on_timer(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	struct dns_query *q = arg;

	ares_process_fd(q->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	rearm(q);
}

static void drop_socket(struct dns_query *q, struct socket *s)
{
	SLIST_REMOVE(&q->sockets, s, socket, list);
	event_free(s->event);
	free(s);
}

static void set_socket(void *arg, ares_socket_t fd, int readable, int writable)
{
	struct dns_query *q = arg;
	struct socket *s;

	SLIST_FOREACH(s, &q->sockets, list)
		if (s->fd == fd)
			break;
	if (s)
		drop_socket(q, s);
	if (!readable && !writable)
		return;
	s = xcalloc(1, sizeof(*s));
	s->fd = fd;
	s->event = event_new(q->owner->base, fd, (short)((readable ? EV_READ : 0) | (writable ? EV_WRITE : 0) | EV_PERSIST), on_socket, q);
	event_add(s->event, NULL);
	SLIST_INSERT_HEAD(&q->sockets, s, list);
}

static void fail(struct dns_query *q, int code, const char *why)
{
	if (!q->err.code)
		err_set(&q->err, code, "DNS %s, looking up %s: %s", q->owner->shown, q->name, why);
}

static int open_channel(struct dns_query *q)
{
	struct ares_options o = {
	    .flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_EDNS,
	    .timeout = FIRST_TRY,
	    .tries = TRIES,
	    .sock_state_cb = set_socket,
	    .sock_state_cb_data = q,
	};
	int status = ares_library_init(ARES_LIB_INIT_ALL);

	if (q->owner->server)
		o.flags |= ARES_FLAG_NOCHECKRESP; /* there is no other server to turn to after a SERVFAIL: tell it */
	if (status == ARES_SUCCESS)
		status = ares_init_options(&q->channel, &o, ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB);
	q->open = status == ARES_SUCCESS;
	if (q->open && q->owner->server)
		status = ares_set_servers_ports_csv(q->channel, q->owner->server);
	if (status != ARES_SUCCESS)
		fail(q, -EIO, ares_strerror(status));
	return q->open && status == ARES_SUCCESS ? 0 : -EIO;
}

/* ---- the look-up ---- */

static int code_of(int status)
{
	switch (status) {
	case ARES_ENODATA:
	case ARES_ENOTFOUND:
		return -ENOENT;
	case ARES_ETIMEOUT:
		return -ETIMEDOUT;
	case ARES_ECONNREFUSED:
		return -ECONNREFUSED;
	case ARES_EFORMERR:
	case ARES_EBADRESP:
		return -EPROTO;
	case ARES_EBADNAME:
	case ARES_EBADQUERY:
		return -EINVAL;
	default:
		return -EIO;
	}
}

static void on_records(void *arg, int status, int timeouts UNUSED, unsigned char *p, int n)
{
	struct dns_query *q = arg;

	if (status == ARES_EDESTRUCTION)
		return;
	if (status != ARES_SUCCESS)
		fail(q, code_of(status), ares_strerror(status));
	else if (dns_message_read(p, (size_t)n, &q->records) < 0)
		fail(q, -EPROTO, "the answer is garbled");
	if (--q->outstanding == 0)
		event_active(q->step, EV_TIMEOUT, 0);
}

static void ask(struct dns_query *q, const char *name, int type)
{
	q->outstanding++;
	ares_query(q->channel, name, CLASS_IN, type, on_records, q);
}

static const struct dns_address *address_of(const struct dns_query *q, const char *host, uint32_t *from)
{
	for (; *from < q->records.n_addresses; ++*from)
		if (strcasecmp(q->records.addresses[*from].host, host) == 0)
			return &q->records.addresses[(*from)++];
	return NULL;
}

/* A and AAAA of every target that came without an address, each name once. */
static void ask_hosts(struct dns_query *q)
{
	q->asked_hosts = true;
	for (uint32_t i = 0; i < q->records.n_services; i++) {
		const char *host = q->records.services[i].host;
		uint32_t from = 0;
		bool known = address_of(q, host, &from);

		for (uint32_t k = 0; k < i && !known; k++)
			known = strcasecmp(q->records.services[k].host, host) == 0;
		if (known)
			continue;
		ask(q, host, TYPE_A);
		ask(q, host, TYPE_AAAA);
	}
}

static void add_targets(struct dns_query *q, const struct dns_service *s)
{
	const struct dns_address *a;

	for (uint32_t from = 0; (a = address_of(q, s->host, &from)) && q->n_targets < DNS_MAX_TARGETS;) {
		struct dns_target *t = &q->targets[q->n_targets++];

		t->port = s->port;
		t->priority = s->priority;
		t->weight = s->weight;
		memcpy(t->host, s->host, sizeof(t->host));
		memcpy(t->address, a->address, sizeof(t->address));
		q->ttl = MIN(q->ttl, (int64_t)MIN(a->ttl, s->ttl) * SECOND);
	}
}

static void collect(struct dns_query *q)
{
	q->ttl = MAX_TTL;
	if (!q->is_service) {
		struct dns_service self = {.port = q->port, .ttl = UINT32_MAX};

		snprintf(self.host, sizeof(self.host), "%s", q->name);
		add_targets(q, &self);
		return;
	}
	for (uint32_t i = 0; i < q->records.n_services; i++) {
		struct dns_service s = q->records.services[i];
		uint32_t at = i;

		for (; at && q->records.services[at - 1].priority > s.priority; at--)
			q->records.services[at] = q->records.services[at - 1];
		q->records.services[at] = s;
	}
	for (uint32_t i = 0; i < q->records.n_services; i++)
		add_targets(q, &q->records.services[i]);
}

static void query_free(struct dns_query *q)
{
	if (q->open)
		ares_destroy(q->channel); /* reports every socket as closed */
	event_free(q->step);
	event_free(q->timer);
	event_free(q->deadline);
	err_clear(&q->err);
	free(q->name);
	free(q);
}

static void query_unlink(struct dns_query *q)
{
	TAILQ_REMOVE(&q->owner->queries, q, list);
	q->owner->n--;
}

static void finish(struct dns_query *q)
{
	struct dns_answer answer = {0};

	if (!q->given) {
		collect(q);
		if (!q->n_targets)
			fail(q, -ENOENT, q->records.n_services ? "no target has an address" : "no such records");
		else if (q->ttl > 0)
			keep(q);
	}
	if (q->n_targets)
		answer = (struct dns_answer){.targets = q->targets, .n = q->n_targets, .ttl = q->ttl};
	else
		answer.err = q->err;
	query_unlink(q);
	if (q->open)
		ares_destroy(q->channel);
	q->open = false;
	q->owner = NULL;
	q->done(q->arg, &answer);
	query_free(q);
}

static void on_step(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	struct dns_query *q = arg;

	if (!q->outstanding && q->is_service && !q->asked_hosts && q->records.n_services) {
		ask_hosts(q);
		rearm(q);
	}
	if (!q->outstanding) /* c-ares may have called back at once, more than once */
		finish(q);
}

static void on_deadline(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	struct dns_query *q = arg;

	fail(q, -ETIMEDOUT, "no answer in time");
	finish(q);
}

static void begin(struct dns_query *q)
{
	unsigned char binary[16];

	q->given = true;
	if (q->owner->n > MAX_QUERIES) {
		fail(q, -EBUSY, "too many look-ups are under way");
	} else if (!q->is_service && (inet_pton(AF_INET, q->name, binary) == 1 || inet_pton(AF_INET6, q->name, binary) == 1)) {
		snprintf(q->targets[0].host, sizeof(q->targets[0].host), "%s", q->name);
		snprintf(q->targets[0].address, sizeof(q->targets[0].address), "%s", q->name);
		q->targets[0].port = q->port;
		q->n_targets = 1;
		q->ttl = MAX_TTL;
	} else if (!take_kept(q) && open_channel(q) == 0) {
		q->given = false;
		ask(q, q->name, q->is_service ? TYPE_SRV : TYPE_A);
		if (!q->is_service)
			ask(q, q->name, TYPE_AAAA);
		rearm(q);
	}
	event_active(q->step, EV_TIMEOUT, 0); /* for what needs no asking, and what was answered at once */
}

static struct dns_query *start(
    struct dns *d, const char *name, bool is_service, uint16_t port, int64_t timeout, dns_done_fn *done, void *arg)
{
	struct dns_query *q = xcalloc(1, sizeof(*q));

	timeout = MAX(timeout ? timeout : 5 * SECOND, MILLI);
	q->owner = d;
	q->name = xstrdup(name);
	q->is_service = is_service;
	q->port = port;
	q->done = done;
	q->arg = arg;
	SLIST_INIT(&q->sockets);
	q->step = evtimer_new(d->base, on_step, q);
	q->timer = evtimer_new(d->base, on_timer, q);
	q->deadline = evtimer_new(d->base, on_deadline, q);
	event_add(q->deadline, &(struct timeval){timeout / SECOND, timeout % SECOND / 1000});
	TAILQ_INSERT_TAIL(&d->queries, q, list);
	d->n++;
	begin(q);
	return q;
}

struct dns_query *dns_srv(struct dns *d, const char *name, int64_t timeout, dns_done_fn *done, void *arg)
{
	return start(d, name, true, 0, timeout, done, arg);
}

struct dns_query *dns_host(struct dns *d, const char *name, uint16_t port, int64_t timeout, dns_done_fn *done, void *arg)
{
	return start(d, name, false, port, timeout, done, arg);
}

void dns_cancel(struct dns_query *q)
{
	if (!q || !q->owner)
		return;
	query_unlink(q);
	query_free(q);
}

/* ---- the server ---- */

int dns_new(struct event_base *base, const char *server, struct dns **out, struct err *e)
{
	struct sockaddr_storage at;
	int n = sizeof(at);

	/* libevent reads "1.2.3.4:5", "[::1]:5" and both without a port. */
	if (server && evutil_parse_sockaddr_port(server, (struct sockaddr *)&at, &n) < 0)
		return err_set(e, -EINVAL, "the DNS server \"%s\" is none; expected address:port, such as 127.0.0.1:8600 or [::1]:8600", server);
	struct dns *d = xcalloc(1, sizeof(*d));

	d->base = base;
	d->server = server ? xstrdup(server) : NULL;
	d->shown = xstrdup(server ? server : "of the system");
	TAILQ_INIT(&d->queries);
	*out = d;
	return 0;
}

void dns_free(struct dns *d)
{
	if (!d)
		return;
	while (!TAILQ_EMPTY(&d->queries))
		dns_cancel(TAILQ_FIRST(&d->queries));
	for (size_t i = 0; i < MAX_KEPT; i++)
		drop_kept(&d->kept[i]);
	free(d->server);
	free(d->shown);
	free(d);
}
