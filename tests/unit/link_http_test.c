/* link_http: calls of a client whose servers are slow, hang, refuse, lie and come back. The servers are played on real sockets. */
#include "agent/link_http.h"

#include <errno.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/uuid.h"
#include "tests/lib/fixture.h"
#include "tests/lib/loop.h"
#include "tests/lib/responder.h"
#include "tests/lib/test.h"

#define TTL (4 * SECOND) /* that the played servers give: a second server is asked after half a second */

enum mode { WELL, HANGS, NO_LEADER, UNKNOWN_NODE, GARBLED };

struct played { /* a server */
	struct responder *responder;
	atomic_int mode;
	atomic_bool has_work;
	atomic_int heartbeats, registers, works, updates;
	char address[32], hello[256];
};

static void answer(struct responder *r, struct played *s, int fd, const char *request)
{
	bool work = strstr(request, "/work?") != NULL;

	if (s->mode == WELL && work) { /* held until there is some */
		while (!s->has_work)
			if (!serve_sleep(r, 5 * MILLI))
				return;
		serve_answer(fd, 200, "", "{\"Index\":7}");
		return;
	}
	while (s->mode == HANGS)
		if (!serve_sleep(r, 5 * MILLI))
			return;
	if (s->mode == NO_LEADER)
		serve_answer(fd, 500, "", "No cluster leader");
	else if (s->mode == UNKNOWN_NODE)
		serve_answer(fd, 404, "", "node is not registered");
	else if (s->mode == GARBLED)
		serve_answer(fd, 200, "", "<html>");
	else
		serve_answer(fd, 200, "", s->hello);
}

static void serve(struct responder *r, int fd, int nth UNUSED)
{
	struct played *s = responder_arg(r);
	cleanup_buf struct buf request = BUF_INIT;

	while (serve_read(fd, &request)) {
		s->heartbeats += strstr(request.data, "/heartbeat ") != NULL;
		s->registers += strstr(request.data, "/register ") != NULL;
		s->works += strstr(request.data, "/work?") != NULL;
		s->updates += strstr(request.data, "/allocs ") != NULL;
		answer(r, s, fd, request.data);
	}
}

struct place {
	struct event_base *base;
	struct fetcher *fetcher;
	struct arena *arena;
	struct node *node;
	struct played servers[3];
	struct strs addresses;
	struct server_link *link;
	int changes;
};

static void on_change(void *arg)
{
	((struct place *)arg)->changes++;
}

/* A link to the first n servers; those that own and configured name. */
static struct place *setup(int n, const char *own)
{
	struct place *p = xcalloc(1, sizeof(*p));
	struct link_http_config c = {.seed = 1};

	p->base = loop_new();
	p->fetcher = fetcher_new(p->base);
	p->arena = arena_new();
	p->node = fixture_node(p->arena, 1);
	for (int i = 0; i < n; i++) {
		struct played *s = &p->servers[i];

		s->responder = responder_start(serve, s);
		snprintf(s->address, sizeof(s->address), "127.0.0.1:%u", responder_port(s->responder));
		snprintf(s->hello, sizeof(s->hello), "{\"Index\":3,\"HeartbeatTTL\":%lld,\"Servers\":[\"127.0.0.1:%u\"]}", (long long)TTL,
		    responder_port(s->responder));
		strs_push(p->arena, &p->addresses, s->address);
	}
	c.sources = (struct sources_config){.own = own ? p->servers[0].address : NULL, .configured = &p->addresses, .service = "drover",
	    .domain = "consul", .region = "global"};
	assert_int_equal(link_http_new(p->fetcher, &c, &p->link, NULL), 0);
	p->link->on_change = on_change;
	p->link->arg = p;
	return p;
}

static void teardown(struct place *p)
{
	p->link->ops->close(p->link);
	for (size_t i = 0; i < ARRAY_LEN(p->servers); i++)
		if (p->servers[i].responder)
			responder_stop(p->servers[i].responder);
	fetcher_free(p->fetcher);
	loop_free(p->base);
	arena_free(p->arena);
	free(p);
}

struct result {
	int done, code;
	char error[600];
	int64_t index;
};

static void on_done(void *arg, const struct link_answer *a)
{
	struct result *r = arg;

	assert_int_equal(r->done, 0);
	r->done = 1;
	r->code = a->err.code;
	snprintf(r->error, sizeof(r->error), "%s", a->err.code ? err_str(&a->err) : "");
	r->index = a->hello ? a->hello->index : a->work ? a->work->index : 0;
}

static struct result registers(struct place *p)
{
	struct result r = {0};

	p->link->ops->node_register(p->link, p->node, on_done, &r);
	assert_int_equal(r.done, 0);
	loop_until(p->base, &r.done);
	return r;
}

static struct result beats(struct place *p)
{
	struct result r = {0};

	p->link->ops->heartbeat(p->link, on_done, &r);
	assert_int_equal(r.done, 0);
	loop_until(p->base, &r.done);
	return r;
}

static struct played *present(struct place *p)
{
	const char *address = p->link->ops->server(p->link);

	for (size_t i = 0; i < ARRAY_LEN(p->servers); i++)
		if (address && str_eq(p->servers[i].address, address))
			return &p->servers[i];
	return NULL;
}

static struct played *other(struct place *p, const struct played *than)
{
	return than == &p->servers[0] ? &p->servers[1] : &p->servers[0];
}

static void test_a_node_registers_and_beats_with_one_server(void **state UNUSED)
{
	struct place *p = setup(2, NULL);
	struct result r;

	assert_null(p->link->ops->server(p->link));
	r = registers(p);
	assert_int_equal(r.code, 0);
	assert_int_equal(r.index, 3);
	assert_non_null(present(p));
	for (int i = 0; i < 5; i++)
		assert_int_equal(beats(p).code, 0);
	assert_int_equal(present(p)->heartbeats, 5);
	assert_int_equal(other(p, present(p))->heartbeats, 0);
	teardown(p);
}

static void test_a_server_that_hangs_is_left_and_its_held_calls_move_along(void **state UNUSED)
{
	struct place *p = setup(2, NULL);
	struct result work = {0}, update = {0}, r;
	struct alloc_updates updates = {0};
	struct played *hung, *next;
	int64_t start;

	registers(p);
	hung = present(p);
	next = other(p, hung);
	p->link->ops->work(p->link, 0, MINUTE, on_done, &work);
	while (!hung->works)
		loop_for(p->base, 5 * MILLI);
	hung->mode = HANGS;
	p->link->ops->update(p->link, &updates, on_done, &update);
	while (!hung->updates)
		loop_for(p->base, 5 * MILLI);

	start = clock_monotonic();
	r = beats(p);
	assert_int_equal(r.code, 0);
	assert_in_range(clock_monotonic() - start, TTL / 8, TTL / 2);
	assert_ptr_equal(present(p), next);
	loop_until(p->base, &update.done);
	assert_int_equal(update.code, 0);
	assert_int_equal(next->updates, 1);
	while (!next->works)
		loop_for(p->base, 5 * MILLI);
	assert_int_equal(work.done, 0);
	next->has_work = true;
	loop_until(p->base, &work.done);
	assert_int_equal(work.code, 0);
	assert_int_equal(work.index, 7);
	/* The one that hangs is not asked again at once. */
	assert_int_equal(beats(p).code, 0);
	assert_int_equal(hung->heartbeats, 1);
	teardown(p);
}

static void test_a_slow_server_that_still_answers_first_is_kept(void **state UNUSED)
{
	struct place *p = setup(2, NULL);
	struct result r = {0};
	struct played *slow, *next;

	registers(p);
	slow = present(p);
	next = other(p, slow);
	slow->mode = next->mode = HANGS;
	p->link->ops->heartbeat(p->link, on_done, &r);
	while (!next->heartbeats)
		loop_for(p->base, 5 * MILLI);
	assert_int_equal(r.done, 0);
	slow->mode = WELL;
	loop_until(p->base, &r.done);
	assert_int_equal(r.code, 0);
	assert_ptr_equal(present(p), slow);
	next->mode = WELL;
	assert_int_equal(beats(p).code, 0);
	assert_int_equal(next->heartbeats, 1);
	teardown(p);
}

static void test_the_next_server_is_asked_at_once_when_one_refuses(void **state UNUSED)
{
	struct place *p = setup(3, NULL);
	int64_t start;

	registers(p);
	present(p)->mode = NO_LEADER;
	responder_stop(STEAL(other(p, present(p))->responder));
	start = clock_monotonic();
	assert_int_equal(beats(p).code, 0);
	assert_true(clock_monotonic() - start < TTL / 8);
	assert_int_equal(present(p)->mode, WELL);
	teardown(p);
}

static void test_when_all_fail_the_call_does_and_says_why_of_each(void **state UNUSED)
{
	struct place *p = setup(2, NULL);
	struct result r;

	registers(p);
	p->servers[0].mode = NO_LEADER;
	responder_stop(STEAL(p->servers[1].responder));
	r = beats(p);
	assert_int_equal(r.code, -EHOSTUNREACH);
	assert_non_null(strstr(r.error, "none of 2 known servers answers: "));
	assert_non_null(strstr(r.error, "it answers 500: No cluster leader"));
	assert_non_null(strstr(r.error, "Failed to connect"));
	assert_null(p->link->ops->server(p->link));
	/* The next call asks again, though nobody's time has come. */
	p->servers[0].mode = WELL;
	do {
		r = beats(p);
	} while (r.code);
	assert_ptr_equal(present(p), &p->servers[0]);
	teardown(p);
}

static void test_without_any_server_the_call_fails_from_the_loop(void **state UNUSED)
{
	struct place *p = setup(0, NULL);
	struct result r = registers(p);

	assert_int_equal(r.code, -EHOSTUNREACH);
	assert_non_null(strstr(r.error, "no server is known yet ("));
	teardown(p);
}

static void test_what_a_server_says_of_the_node_is_an_answer(void **state UNUSED)
{
	struct place *p = setup(1, NULL);
	struct result r;

	registers(p);
	p->servers[0].mode = UNKNOWN_NODE;
	r = beats(p);
	assert_int_equal(r.code, -ENOENT);
	assert_ptr_equal(present(p), &p->servers[0]);
	p->servers[0].mode = GARBLED;
	assert_true(beats(p).code < 0);
	teardown(p);
}

static void test_a_server_set_by_hand_is_turned_to_with_the_next_heartbeat(void **state UNUSED)
{
	struct place *p = setup(2, NULL);
	cleanup_arena struct arena *a = arena_new();
	struct strs hand = {0}, wrong = {0}, known = {0};
	struct err e = ERR_INIT;
	struct played *to;

	registers(p);
	to = other(p, present(p));
	strs_push(a, &wrong, "a b");
	assert_int_equal(link_http_set_servers(p->link, &wrong, &e), -EINVAL);
	err_clear(&e);
	p->changes = 0;
	strs_push(a, &hand, to->address);
	assert_int_equal(link_http_set_servers(p->link, &hand, &e), 0);
	assert_int_equal(p->changes, 1); /* so that the heartbeat is now */
	assert_int_equal(beats(p).code, 0);
	assert_ptr_equal(present(p), to);
	link_http_servers(p->link, a, &known);
	assert_int_equal(known.n, 2);
	assert_string_equal(known.v[0], to->address);
	teardown(p);
}

static void test_one_that_is_preferred_but_does_not_know_the_node_is_not_moved_to(void **state UNUSED)
{
	struct place *p = setup(2, NULL);
	cleanup_arena struct arena *a = arena_new();
	struct played *before, *to;
	struct strs hand = {0};

	registers(p);
	before = present(p);
	to = other(p, before);
	to->mode = UNKNOWN_NODE;
	strs_push(a, &hand, to->address);
	link_http_set_servers(p->link, &hand, NULL);
	assert_int_equal(beats(p).code, 0); /* the one before was asked too */
	assert_int_equal(to->heartbeats, 1);
	assert_ptr_equal(present(p), before);
	teardown(p);
}

static void test_closing_ends_what_is_under_way(void **state UNUSED)
{
	struct place *p = setup(2, "own");
	struct result r[3] = {0};

	registers(p);
	p->servers[0].mode = p->servers[1].mode = HANGS;
	p->link->ops->heartbeat(p->link, on_done, &r[0]);
	p->link->ops->work(p->link, 0, MINUTE, on_done, &r[1]);
	loop_for(p->base, TTL / 4); /* the second server is asked as well */
	p->link->ops->node_register(p->link, p->node, on_done, &r[2]);
	assert_true(p->servers[0].heartbeats && p->servers[1].heartbeats);
	teardown(p);
	assert_int_equal(r[0].done + r[1].done + r[2].done, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_node_registers_and_beats_with_one_server),
	    cmocka_unit_test(test_a_server_that_hangs_is_left_and_its_held_calls_move_along),
	    cmocka_unit_test(test_a_slow_server_that_still_answers_first_is_kept),
	    cmocka_unit_test(test_the_next_server_is_asked_at_once_when_one_refuses),
	    cmocka_unit_test(test_when_all_fail_the_call_does_and_says_why_of_each),
	    cmocka_unit_test(test_without_any_server_the_call_fails_from_the_loop),
	    cmocka_unit_test(test_what_a_server_says_of_the_node_is_an_answer),
	    cmocka_unit_test(test_a_server_set_by_hand_is_turned_to_with_the_next_heartbeat),
	    cmocka_unit_test(test_one_that_is_preferred_but_does_not_know_the_node_is_not_moved_to),
	    cmocka_unit_test(test_closing_ends_what_is_under_way),
	};

	return RUN_TESTS(tests);
}
