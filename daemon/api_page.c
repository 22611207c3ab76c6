/*
 * api_page: lists. What fits into one slice is an ordinary answer; the rest of a longer list is a struct listing: the keys
 * of the items that are still to come, and a held call. Its steps:
 *
 *   fill a piece -> rest until what it shows is committed -> send it -> when the reader keeps up: the next, from the loop
 */
#include "daemon/api.h"

#include <errno.h>

#include "base/clock.h"
#include "daemon/filter.h"
#include "daemon/gzip.h"
#include "daemon/server.h"

#define FIRST_PIECE  GZIP_MAX     /* bytes */
#define PIECE        (64 * 1024)
#define SLICE        MILLI
#define PER_PAGE_MAX 5000

struct listing {
	struct call *call;
	const struct page_kind *kind;
	struct filter *filter;
	struct core *core; /* when another one takes its place, the list is of another state */
	struct page_key *keys;
	struct arena *names;
	uint32_t n, i;
	bool first, begun;
	struct buf piece;
	struct rest rest;
	struct call_turn next;
};

static void page_clear(struct page *p)
{
	filter_free(p->filter);
	free(p->items);
}

bool page_begin(struct page *p, struct call *c, const struct page_kind *kind, struct watch_key key, uint64_t index)
{
	const char *expression = call_query(c, "filter");
	cleanup_err struct err e = ERR_INIT;

	*p = (struct page){.call = c, .kind = kind};
	if (!str_empty(expression) && filter_new(expression, kind->type, &p->filter, &e) < 0) {
		call_error(c, 400, "failed to read filter expression: %s", err_str(&e));
		return true;
	}
	if (api_uint(c, "per_page", 0, UINT32_MAX, &p->per_page) == 0 && !call_block(c, key, index))
		return false;
	page_clear(p);
	return true;
}

void page_offer(struct page *p, const void *item)
{
	if (p->n == p->cap) {
		p->cap = MAX(p->cap * 2, UINT32_C(64));
		p->items = xrealloc(p->items, p->cap, sizeof(*p->items));
	}
	p->items[p->n++] = item;
}

/* ---- tokens ---- */

static void put_token(struct buf *out, const struct page_key *k)
{
	char id[UUID_STR];

	if (k->name) {
		buf_printf(out, "%s.%s", k->ns, k->name);
		return;
	}
	if (k->index)
		buf_printf(out, "%llu.", (unsigned long long)k->index);
	buf_puts(out, uuid_format(k->id, id));
}

/* Position of the item that the token names; p->n when there is none. */
static uint32_t find_token(const struct page *p, const char *token)
{
	const char *dot = strchr(token, '.');
	struct page_key k = {0};
	const void *item;

	if (uuid_parse(dot ? dot + 1 : token, &k.id) < 0) {
		k.ns = dot ? arena_strndup(call_arena(p->call), token, (size_t)(dot - token)) : "";
		k.name = dot ? dot + 1 : token;
	}
	item = k.name && p->kind->type != &type_job ? NULL : p->kind->find(call_state(p->call), &k);
	for (uint32_t i = 0; item && i < p->n; i++)
		if (p->items[i] == item)
			return i;
	return p->n;
}

static void reverse(struct page *p)
{
	for (uint32_t i = 0; i < p->n / 2; i++) {
		const void *item = p->items[i];

		p->items[i] = p->items[p->n - 1 - i];
		p->items[p->n - 1 - i] = item;
	}
}

/* ---- items ---- */

static bool is_wanted(const struct page_kind *kind, const struct filter *f, const void *item)
{
	cleanup_arena struct arena *a = NULL;

	if (!f)
		return true;
	a = arena_new();
	return filter_matches(f, kind->view(a, item));
}

static void put_item(struct call *c, const struct page_kind *kind, struct buf *b, bool *first, const void *item)
{
	json_put_sep(b, first, call_indent(c), 1);
	kind->put(c, b, item, call_indent(c), 1);
}

/* ---- a list that takes several turns ---- */

static void fill(struct call_turn *t);

static void on_close(void *arg)
{
	struct listing *l = arg;

	server_rest_cancel(&l->rest);
	call_turn_cancel(&l->next);
	filter_free(l->filter);
	buf_free(&l->piece);
	arena_free(l->names);
	free(l->keys);
	free(l);
}

static void send_piece(struct listing *l)
{
	bool keeps_up;

	if (!l->begun)
		call_set_stream_header(l->call, 200, "application/json");
	l->begun = true;
	keeps_up = call_stream_put(l->call, l->piece.data, l->piece.len);
	buf_clear(&l->piece);
	if (l->i == l->n)
		call_stream_end(l->call);
	else if (keeps_up)
		call_next_turn(l->call, &l->next, fill);
}

static void fail(struct listing *l, const char *why)
{
	struct call *c = l->call;

	if (l->begun) {
		call_stream_break(c); /* half a list must not look like a whole one */
		return;
	}
	call_set_stream_header(c, 503, "text/plain; charset=utf-8");
	call_stream_put(c, why, strlen(why));
	call_stream_end(c);
}

static void on_rest(struct rest *r)
{
	struct listing *l = CONTAINER_OF(r, struct listing, rest);

	if (r->failure)
		fail(l, r->failure);
	else
		send_piece(l);
}

/* The piece leaves when all that was known when it was made is committed. */
static void submit(struct listing *l)
{
	struct server *s = call_daemon(l->call)->server;
	uint64_t index = core_state(l->core)->index;

	if (server_must_rest(s, index, call_is_stale(l->call)))
		server_rest(s, &l->rest, index, call_is_stale(l->call), on_rest);
	else
		send_piece(l);
}

static void fill(struct call_turn *t)
{
	struct listing *l = CONTAINER_OF(t, struct listing, next);
	struct call *c = l->call;
	int64_t began = clock_monotonic();

	if (server_core(call_daemon(c)->server) != l->core) {
		fail(l, "another server leads");
		return;
	}
	while (l->i < l->n && l->piece.len < PIECE && clock_monotonic() - began < SLICE) {
		const void *item = l->kind->find(core_state(l->core), &l->keys[l->i++]);

		if (item && is_wanted(l->kind, l->filter, item))
			put_item(c, l->kind, &l->piece, &l->first, item);
	}
	if (l->i == l->n) {
		json_put_end(&l->piece, ']', l->first, call_indent(c), 0);
		if (call_indent(c))
			buf_putc(&l->piece, '\n');
	}
	submit(l);
}

static void on_drain(void *arg)
{
	struct listing *l = arg;

	call_next_turn(l->call, &l->next, fill);
}

/* The items from i on follow in later turns; what is written already is the first piece. */
static void list_slowly(struct page *p, uint32_t i, bool first)
{
	struct call *c = p->call;
	struct listing *l = xcalloc(1, sizeof(*l));

	*l = (struct listing){.call = c, .kind = p->kind, .filter = STEAL(p->filter), .core = call_core(c), .first = first};
	l->n = p->n - i;
	l->keys = xcalloc(l->n, sizeof(*l->keys));
	l->names = arena_new();
	for (uint32_t k = 0; k < l->n; k++) {
		struct page_key *key = &l->keys[k];

		p->kind->key(p->items[i + k], key);
		if (key->name) {
			key->ns = arena_strdup(l->names, key->ns);
			key->name = arena_strdup(l->names, key->name);
		}
	}
	l->piece = *call_out(c);
	*call_out(c) = BUF_INIT;
	page_clear(p);
	call_stream_hold(c, on_close, l);
	call_stream_on_drain(c, on_drain, l);
	submit(l);
}

/* ---- the end of a page ---- */

/* Writes a page of at most `limit` items from i on; the place of the first one of the next page, p->n at the end. */
static uint32_t put_page(struct page *p, uint32_t i, uint64_t limit)
{
	struct buf *b = call_out(p->call);
	uint64_t shown = 0;
	bool first = true;

	buf_putc(b, '[');
	for (; i < p->n; i++) {
		if (!is_wanted(p->kind, p->filter, p->items[i]))
			continue;
		if (shown++ == limit)
			break;
		put_item(p->call, p->kind, b, &first, p->items[i]);
	}
	json_put_end(b, ']', first, call_indent(p->call), 0);
	return i;
}

/* The same without a limit; false: the rest is listed slowly, and p is gone. */
static bool put_all(struct page *p, uint32_t i)
{
	struct buf *b = call_out(p->call);
	int64_t began = clock_monotonic();
	bool first = true;

	buf_putc(b, '[');
	for (; i < p->n; i++) {
		if (b->len > FIRST_PIECE || clock_monotonic() - began > SLICE) {
			list_slowly(p, i, first);
			return false;
		}
		if (is_wanted(p->kind, p->filter, p->items[i]))
			put_item(p->call, p->kind, b, &first, p->items[i]);
	}
	json_put_end(b, ']', first, call_indent(p->call), 0);
	return true;
}

void page_end(struct page *p)
{
	struct call *c = p->call;
	const char *token = call_query(c, "next_token");
	uint32_t i = 0;

	if (call_query_bool(c, "reverse"))
		reverse(p);
	if (!str_empty(token))
		i = find_token(p, token);
	if (p->n && i == p->n) {
		page_clear(p);
		call_error(c, 400, "next_token names an item that is gone; start again at the first page");
		return;
	}
	if (p->per_page)
		i = put_page(p, i, MIN(p->per_page, (uint64_t)PER_PAGE_MAX));
	else if (!put_all(p, i))
		return;
	else
		i = p->n;
	if (i < p->n) {
		cleanup_buf struct buf next = BUF_INIT;
		struct page_key k;

		p->kind->key(p->items[i], &k);
		put_token(&next, &k);
		call_set_header(c, "X-Nomad-NextToken", next.data);
	}
	page_clear(p);
	call_json(c, 200);
}
