#include "tests/lib/consul_ask.h"

#include "tests/lib/loop.h"
#include "tests/lib/test.h"

struct asker asker_new(const struct consul_config *config)
{
	struct asker a = {.base = loop_new()};
	struct err e = ERR_INIT;

	a.fetcher = fetcher_new(a.base);
	if (consul_new(a.fetcher, config, &a.consul, &e) < 0)
		fail_msg("%s", err_str(&e));
	return a;
}

void asker_free(struct asker *a)
{
	consul_free(a->consul);
	fetcher_free(a->fetcher);
	loop_free(a->base);
}

struct waiting {
	int done;
	struct consul_answer answer;
};

static void on_answer(void *arg, const struct consul_answer *answer)
{
	struct waiting *w = arg;

	assert_int_equal(w->done, 0);
	w->done = 1;
	w->answer = *answer;
	w->answer.raw = memcpy(xcalloc(1, answer->raw_len + 1), answer->raw ? answer->raw : "", answer->raw_len);
	w->answer.err = ERR_INIT;
	if (answer->err.code)
		err_set(&w->answer.err, answer->err.code, "%s", err_str(&answer->err));
	consul_keep(answer);
}

struct consul_answer asker_ask(struct asker *a, const struct consul_op *op, const struct consul_args *args)
{
	struct waiting w = {0};

	assert_non_null(consul_call(a->consul, op, args, on_answer, &w));
	assert_int_equal(w.done, 0);
	loop_until(a->base, &w.done);
	return w.answer;
}

struct consul_answer asker_must(struct asker *a, const struct consul_op *op, const struct consul_args *args)
{
	struct consul_answer answer = asker_ask(a, op, args);

	if (answer.err.code)
		fail_msg("%s", err_str(&answer.err));
	return answer;
}

void asker_do(struct asker *a, const struct consul_op *op, const struct consul_args *args)
{
	struct consul_answer answer = asker_must(a, op, args);

	consul_answer_free(&answer);
}

int asker_refused(struct asker *a, const struct consul_op *op, const struct consul_args *args, const char *words)
{
	struct consul_answer answer = asker_ask(a, op, args);
	int code = answer.err.code;

	if (!code)
		fail_msg("%s was answered with %d: %s", op->name, answer.status, answer.raw);
	if (!strstr(err_str(&answer.err), words))
		fail_msg("\"%s\" does not say \"%s\"", err_str(&answer.err), words);
	assert_null(answer.object);
	consul_answer_free(&answer);
	return code;
}

void asker_put(struct asker *a, const char *key, const char *value)
{
	asker_do(a, &consul_kv_put, &(struct consul_args){.name = key, .body = value, .body_len = strlen(value)});
}
