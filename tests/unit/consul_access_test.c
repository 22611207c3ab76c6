/* consul: how it is reached (addresses, sockets, TLS, tokens), what it refuses, and what is made of answers that are none. */
#include "discovery/consul.h"

#include <errno.h>
#include <pthread.h>

#include "base/clock.h"
#include "base/file.h"
#include "tests/lib/consul_ask.h"
#include "tests/lib/consul_server.h"
#include "tests/lib/loop.h"
#include "tests/lib/responder.h"
#include "tests/lib/test.h"

#define ARGS(...)  (&(struct consul_args){__VA_ARGS__})
#define QUERY(...) ((const char *const[]){__VA_ARGS__, NULL})

/* ---- configuration ---- */

static void test_addresses_of_every_form_are_read_and_others_refused(void **state UNUSED)
{
	static const char *const good[] = {"10.0.0.1:8500", "10.0.0.1", "consul.example", "[::1]:8500", "[::1]", "http://a:1",
	    "https://a.example:8501/", "unix:///run/consul.sock"};
	static const char *const bad[] = {"", "http://", "ftp://a", "unix://relative", "a:1/path", "a b", "http://u@h", "a\n"};
	struct consul *c;

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		cleanup_err struct err e = ERR_INIT;

		assert_int_equal(consul_new(NULL, &(struct consul_config){.address = good[i]}, &c, &e), 0);
		assert_string_equal(consul_address(c), good[i]);
		consul_free(c);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		cleanup_err struct err e = ERR_INIT;

		assert_int_equal(consul_new(NULL, &(struct consul_config){.address = bad[i]}, &c, &e), -EINVAL);
		assert_non_null(strstr(err_str(&e), "Consul address"));
	}
}

static void test_the_environment_fills_only_what_is_not_configured(void **state UNUSED)
{
	cleanup_arena struct arena *a = arena_new();
	struct consul_config none = {0}, some = {.address = "a:1", .token = "mine"};

	setenv("CONSUL_HTTP_ADDR", "b:2", 1);
	setenv("CONSUL_HTTP_SSL", "true", 1);
	setenv("CONSUL_HTTP_SSL_VERIFY", "false", 1);
	setenv("CONSUL_HTTP_TOKEN", "theirs", 1);
	setenv("CONSUL_CACERT", "/ca", 1);
	setenv("CONSUL_TLS_SERVER_NAME", "server.dc1.consul", 1);
	consul_config_defaults(&none, a);
	consul_config_defaults(&some, a);
	assert_string_equal(none.address, "https://b:2");
	assert_string_equal(none.token, "theirs");
	assert_string_equal(none.tls.ca_file, "/ca");
	assert_string_equal(none.tls.server_name, "server.dc1.consul");
	assert_true(none.tls.skip_verify);
	assert_string_equal(some.address, "a:1");
	assert_string_equal(some.token, "mine");
	assert_false(some.tls.skip_verify);
	unsetenv("CONSUL_HTTP_ADDR");
	unsetenv("CONSUL_HTTP_SSL");
	unsetenv("CONSUL_HTTP_SSL_VERIFY");
	unsetenv("CONSUL_HTTP_TOKEN");
	unsetenv("CONSUL_CACERT");
	unsetenv("CONSUL_TLS_SERVER_NAME");
	none = (struct consul_config){0};
	consul_config_defaults(&none, a);
	assert_string_equal(none.address, "127.0.0.1:8500");
}

/* ---- a Consul with ACLs, TLS and a unix socket ---- */

static struct consul_server *real;

static int start(void **state UNUSED)
{
	real = consul_server_start("--acl --tls");
	return 0;
}

static int stop(void **state UNUSED)
{
	consul_server_stop(real);
	return 0;
}

static struct asker with_token(const char *token)
{
	return asker_new(&(struct consul_config){.address = consul_server_ask(real, "address 0"), .token = token});
}

static void test_a_unix_socket_leads_to_consul(void **state UNUSED)
{
	cleanup_free char *address = xasprintf("unix://%s", consul_server_ask(real, "socket 0"));
	struct asker a = asker_new(&(struct consul_config){.address = address, .token = consul_server_ask(real, "token")});

	asker_put(&a, "s", "x");
	asker_free(&a);
}

static void test_tls_wants_the_right_authority_name_and_certificate(void **state UNUSED)
{
	cleanup_free char *address = xasprintf("https://%s", consul_server_ask(real, "https 0"));
	const char *ca = consul_server_ask(real, "tls ca"), *cert = consul_server_ask(real, "tls client"),
		   *key = consul_server_ask(real, "tls client-key"), *token = consul_server_ask(real, "token");
	struct {
		struct fetch_tls tls;
		const char *refused; /* NULL: it works */
	} cases[] = {
	    {{.ca_file = ca, .cert_file = cert, .key_file = key, .server_name = "server.dc1.consul"}, NULL},
	    {{.cert_file = cert, .key_file = key, .skip_verify = true}, NULL},
	    {{.ca_file = ca, .cert_file = cert, .key_file = key}, "SSL"},
	    {{.ca_file = ca, .cert_file = cert, .key_file = key, .server_name = "other.consul"}, "SSL"},
	    {{.cert_file = cert, .key_file = key, .server_name = "server.dc1.consul"}, "SSL"},
	    {{.ca_file = ca, .server_name = "server.dc1.consul"}, "certificate"},
	    {{.ca_file = "/nonexistent", .server_name = "server.dc1.consul"}, "/nonexistent"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct asker a = asker_new(&(struct consul_config){.address = address, .token = token, .tls = cases[i].tls});

		if (cases[i].refused)
			asker_refused(&a, &consul_status_leader, NULL, cases[i].refused);
		else
			asker_put(&a, "s", "x");
		asker_free(&a);
	}
}

static void test_a_wrong_token_is_a_refusal_that_names_the_call(void **state UNUSED)
{
	struct asker bad = with_token("11111111-2222-3333-4444-555555555555"), none = with_token(NULL);
	struct consul_service_registration r = {0};

	MODEL_SET(consul_service_registration, &r, name, "web");
	assert_int_equal(
	    asker_refused(&bad, &consul_service_register, ARGS(.name = "web", .object = &r), "registering service \"web\": 403 ACL not found"),
	    -EACCES);
	assert_int_equal(asker_refused(&none, &consul_kv_put, ARGS(.name = "k"), "writing key \"k\": 403 "), -EACCES);
	asker_free(&bad);
	asker_free(&none);
}

static void test_what_may_not_be_seen_is_answered_empty(void **state UNUSED)
{
	struct asker none = with_token(NULL);
	struct consul_answer answer = asker_must(&none, &consul_catalog_nodes, NULL);

	assert_int_equal(CONSUL_OBJECT(&answer, consul_nodes)->items.n, 0);
	consul_answer_free(&answer);
	asker_free(&none);
}

static void test_a_transaction_without_rights_is_no_conflict(void **state UNUSED)
{
	cleanup_arena struct arena *a = arena_new();
	struct asker at = with_token(consul_server_ask(real, "token key_prefix \"a/\" { policy = \"write\" }"));
	struct consul_txn_request t = {0};

	consul_txn_add(a, &t, "set", "a/1");
	asker_do(&at, &consul_txn, ARGS(.object = &t));
	consul_txn_add(a, &t, "set", "b/1");
	struct consul_answer answer = asker_ask(&at, &consul_txn, ARGS(.object = &t));

	assert_int_equal(answer.err.code, -EACCES);
	assert_false(answer.uncertain);
	assert_non_null(strstr(err_str(&answer.err), "operation 1: Permission denied"));
	consul_answer_free(&answer);
	asker_free(&at);
}

static void ask_right(struct arena *a, struct consul_acl_questions *q, const char *resource, const char *segment, const char *access)
{
	struct consul_acl_question *one = MODEL_NEW(a, consul_acl_question);

	MODEL_SET(consul_acl_question, one, resource, resource);
	MODEL_SET(consul_acl_question, one, segment, segment);
	MODEL_SET(consul_acl_question, one, access, access);
	objs_push(a, &q->items, one);
}

static void test_consul_says_what_our_token_may_do(void **state UNUSED)
{
	cleanup_arena struct arena *a = arena_new();
	struct asker at = with_token(consul_server_ask(real, "token key_prefix \"a/\" { policy = \"write\" }"));
	struct consul_acl_questions q = {0};

	ask_right(a, &q, "key", "a/1", "write");
	ask_right(a, &q, "key", "b/1", "write");
	struct consul_answer answer = asker_must(&at, &consul_acl_authorize, ARGS(.object = &q));
	struct consul_acl_questions *said = CONSUL_OBJECT(&answer, consul_acl_questions);

	assert_int_equal(said->items.n, 2);
	assert_true(((struct consul_acl_question *)said->items.v[0])->allow);
	assert_false(((struct consul_acl_question *)said->items.v[1])->allow);
	consul_answer_free(&answer);
	answer = asker_must(&at, &consul_acl_token_self, NULL);
	struct consul_acl_token *token = CONSUL_OBJECT(&answer, consul_acl_token);

	assert_int_equal(token->policies.n, 1);
	assert_non_null(strstr(((struct consul_acl_link *)token->policies.v[0])->name, "policy-"));
	consul_answer_free(&answer);
	asker_free(&at);
}

static void test_deregistering_what_is_not_there_is_told_where_acls_are_enforced(void **state UNUSED)
{
	struct asker a = with_token(consul_server_ask(real, "token"));

	assert_int_equal(asker_refused(&a, &consul_service_deregister, ARGS(.name = "never"), "never"), -ENOENT);
	asker_free(&a);
}

static void write_token(const char *path, const char *token)
{
	assert_int_equal(file_write_atomic(path, token, strlen(token), 0600, false, NULL), 0);
}

static void test_the_token_file_is_read_again_and_a_bad_one_leaves_the_last_good(void **state UNUSED)
{
	char path[] = "/tmp/drover-token-XXXXXX";
	cleanup_close int fd = mkstemp(path);
	cleanup_free char *good = xasprintf("  %s\n\n", consul_server_ask(real, "token"));

	unlink(path);
	struct asker a = asker_new(&(struct consul_config){.address = consul_server_ask(real, "address 0"), .token_file = path});

	assert_int_equal(asker_refused(&a, &consul_kv_put, ARGS(.name = "k"), path), -ENOENT);
	write_token(path, "two words");
	assert_int_equal(asker_refused(&a, &consul_kv_put, ARGS(.name = "k"), "character that no Consul token has"), -EINVAL);
	write_token(path, "\n");
	assert_int_equal(asker_refused(&a, &consul_kv_put, ARGS(.name = "k"), "is empty"), -EINVAL);
	write_token(path, good);
	asker_put(&a, "k", "1");
	unlink(path);
	asker_put(&a, "k", "2");
	write_token(path, "");
	asker_put(&a, "k", "3");
	write_token(path, "11111111-2222-3333-4444-555555555555");
	assert_int_equal(asker_refused(&a, &consul_kv_put, ARGS(.name = "k"), "403"), -EACCES);
	write_token(path, good);
	asker_put(&a, "k", "4");
	asker_free(&a);
	unlink(path);
}

static void test_a_token_with_a_line_break_is_refused_without_being_shown(void **state UNUSED)
{
	cleanup_err struct err e = ERR_INIT;
	struct consul *c;

	assert_int_equal(consul_new(NULL, &(struct consul_config){.token = "secret\r\nX: y"}, &c, &e), -EINVAL);
	assert_null(strstr(err_str(&e), "secret"));
}

/* ---- many, from anywhere ---- */

struct worker {
	struct consul *consul;
	int n, done;
};

static void *work(void *arg)
{
	struct worker *w = arg;
	struct consul_channel *ch = consul_channel_new(w->consul);

	for (int i = 0; i < 50; i++) {
		cleanup_free char *key = xasprintf("w/%d/%d", w->n, i);
		struct consul_answer answer;

		if (consul_channel_call(ch, &consul_kv_put, ARGS(.name = key, .body = key, .body_len = strlen(key)), &answer) == 0)
			w->done += CONSUL_OBJECT(&answer, consul_bool)->items;
		consul_answer_free(&answer);
		if (consul_channel_call(ch, &consul_kv_raw, ARGS(.name = key), &answer) == 0)
			w->done += str_eq(answer.raw, key);
		consul_answer_free(&answer);
	}
	consul_channel_free(ch);
	return NULL;
}

static void on_count(void *arg, const struct consul_answer *answer)
{
	int *counts = arg;

	counts[answer->err.code == 0 ? 0 : answer->err.code == -EBUSY ? 1 : 2]++;
}

static void test_threads_and_the_loop_call_at_the_same_time(void **state UNUSED)
{
	struct asker a = with_token(consul_server_ask(real, "token"));
	struct worker workers[4] = {{0}};
	pthread_t threads[4];
	int counts[3] = {0};

	for (int i = 0; i < 4; i++) {
		workers[i] = (struct worker){.consul = a.consul, .n = i};
		pthread_create(&threads[i], NULL, work, &workers[i]);
	}
	for (int i = 0; i < 100; i++)
		consul_call(a.consul, &consul_kv_get, ARGS(.name = "w/0/0"), on_count, counts);
	for (int i = 0; i < 600 && counts[0] < 100; i++)
		loop_for(a.base, 50 * MILLI);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(workers[i].done, 100);
	}
	assert_int_equal(counts[0], 100);
	asker_free(&a);
}

static void serve_nothing(struct responder *r, int fd UNUSED, int nth UNUSED)
{
	serve_sleep(r, MINUTE);
}

static void test_calls_are_bounded_and_freeing_cancels_them(void **state UNUSED)
{
	struct responder *r = responder_start(serve_nothing, NULL);
	struct asker a = asker_new(&(struct consul_config){.address = responder_url(r, "")});
	int counts[3] = {0};

	for (int i = 0; i < 1030; i++)
		consul_call(a.consul, &consul_kv_get, ARGS(.name = "k"), on_count, counts);
	loop_for(a.base, 10 * MILLI);
	assert_int_equal(counts[1], 6);
	consul_cancel(consul_call(a.consul, &consul_kv_get, NULL, on_count, counts));
	int answered = counts[2]; /* those for which there was no descriptor left */

	asker_free(&a);
	assert_int_equal(counts[0], 0);
	assert_int_equal(counts[1], 6);
	assert_int_equal(counts[2], answered);
	responder_stop(r);
}

/* ---- peers that are no Consul ---- */

static void serve_nonsense(struct responder *r UNUSED, int fd, int nth UNUSED)
{
	cleanup_buf struct buf in = BUF_INIT;

	while (serve_read(fd, &in)) {
		if (strstr(in.data, "/v1/kv/json"))
			serve_answer(fd, 200, "", "<html>hello</html>");
		else if (strstr(in.data, "/v1/kv/shape"))
			serve_answer(fd, 200, "", "{\"a\":1}");
		else if (strstr(in.data, "/v1/kv/type"))
			serve_answer(fd, 200, "", "[{\"Key\":1}]");
		else if (strstr(in.data, "/v1/kv/moved"))
			serve_answer(fd, 301, "Location: /elsewhere\r\n", "");
		else if (strstr(in.data, "/v1/kv/long"))
			serve_say(fd, "HTTP/1.1 500 Oops\r\nContent-Length: 5000\r\n\r\n%05000d", 1);
		else if (strstr(in.data, "/v1/kv/lost"))
			serve_answer(fd, 500, "", "rpc error making call: leadership lost while committing log");
		else if (strstr(in.data, "/v1/kv/busy"))
			serve_answer(fd, 429, "", "Your IP is issuing too many concurrent connections");
		else
			return;
	}
}

static void test_answers_that_are_none_become_sentences_and_say_whether_a_write_is_in_doubt(void **state UNUSED)
{
	struct responder *r = responder_start(serve_nonsense, NULL);
	struct asker a = asker_new(&(struct consul_config){.address = responder_url(r, "")});
	struct {
		const struct consul_op *op;
		const char *name, *words;
		int code;
		bool uncertain;
	} cases[] = {
	    {&consul_kv_get, "json", "the answer cannot be read", -EIO, false},
	    {&consul_kv_get, "shape", "items: expected a list of objects", -EIO, false},
	    {&consul_kv_get, "type", "items[0].Key: expected a string", -EIO, false},
	    {&consul_kv_get, "moved", "301", -EIO, false},
	    {&consul_kv_get, "long", "0 ...", -EIO, false},
	    {&consul_kv_get, "closed", "reading key \"closed\": Empty reply", -EIO, false},
	    {&consul_kv_put, "closed", "writing key \"closed\"", -EIO, true},
	    {&consul_kv_put, "lost", "500 rpc error", -EAGAIN, true},
	    {&consul_kv_put, "busy", "429 Your IP", -EBUSY, false},
	    {&consul_kv_put, "json", "the answer cannot be read", -EIO, true},
	    {&consul_kv_get, "a/../b", "cannot be asked for", -EINVAL, false},
	    {&consul_service_deregister, "..", "cannot be asked for", -EINVAL, false},
	    {&consul_service_deregister, NULL, "the name is missing", -EINVAL, false},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct consul_answer answer =
		    asker_ask(&a, cases[i].op, ARGS(.name = cases[i].name, .body = "x", .body_len = cases[i].op == &consul_kv_put));

		if (answer.err.code != cases[i].code || !strstr(err_str(&answer.err), cases[i].words) || answer.uncertain != cases[i].uncertain)
			fail_msg("%s %s: %d %d %s", cases[i].op->name, cases[i].name, answer.err.code, answer.uncertain, err_str(&answer.err));
		assert_true(strlen(err_str(&answer.err)) < 500);
		assert_null(answer.object);
		consul_answer_free(&answer);
	}
	asker_free(&a);
	responder_stop(r);
}

static void test_consul_that_is_not_there_is_refused_and_nothing_is_in_doubt(void **state UNUSED)
{
	struct asker a = asker_new(&(struct consul_config){.address = "127.0.0.1:1"});
	struct consul_answer answer = asker_ask(&a, &consul_kv_put, ARGS(.name = "k", .body = "x", .body_len = 1));
	struct consul_stats stats;

	assert_int_equal(answer.err.code, -ECONNREFUSED);
	assert_false(answer.uncertain);
	assert_true(str_starts(err_str(&answer.err), "Consul 127.0.0.1:1, writing key \"k\": "));
	consul_stats(a.consul, &stats);
	assert_int_equal(stats.failures, 1);
	assert_true(stats.last_failure && !stats.last_answer);
	consul_answer_free(&answer);
	asker_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_addresses_of_every_form_are_read_and_others_refused),
	    cmocka_unit_test(test_the_environment_fills_only_what_is_not_configured),
	    cmocka_unit_test(test_a_unix_socket_leads_to_consul),
	    cmocka_unit_test(test_tls_wants_the_right_authority_name_and_certificate),
	    cmocka_unit_test(test_a_wrong_token_is_a_refusal_that_names_the_call),
	    cmocka_unit_test(test_what_may_not_be_seen_is_answered_empty),
	    cmocka_unit_test(test_a_transaction_without_rights_is_no_conflict),
	    cmocka_unit_test(test_consul_says_what_our_token_may_do),
	    cmocka_unit_test(test_deregistering_what_is_not_there_is_told_where_acls_are_enforced),
	    cmocka_unit_test(test_the_token_file_is_read_again_and_a_bad_one_leaves_the_last_good),
	    cmocka_unit_test(test_a_token_with_a_line_break_is_refused_without_being_shown),
	    cmocka_unit_test(test_threads_and_the_loop_call_at_the_same_time),
	    cmocka_unit_test(test_calls_are_bounded_and_freeing_cancels_them),
	    cmocka_unit_test(test_answers_that_are_none_become_sentences_and_say_whether_a_write_is_in_doubt),
	    cmocka_unit_test(test_consul_that_is_not_there_is_refused_and_nothing_is_in_doubt),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
