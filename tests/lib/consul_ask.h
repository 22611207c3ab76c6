/* consul_ask: one call to Consul on a loop of the test's own, waited for. */
#ifndef TESTS_LIB_CONSUL_ASK_H
#define TESTS_LIB_CONSUL_ASK_H

#include "discovery/consul.h"

struct asker {
	struct event_base *base;
	struct fetcher *fetcher;
	struct consul *consul;
};

struct asker asker_new(const struct consul_config *config); /* fails the test when the configuration is wrong */
void asker_free(struct asker *a);
/* The answer is the caller's: consul_answer_free. */
struct consul_answer asker_ask(struct asker *a, const struct consul_op *op, const struct consul_args *args);
/* asker_ask that must be answered without an error; fails the test with the sentence. */
struct consul_answer asker_must(struct asker *a, const struct consul_op *op, const struct consul_args *args);
/* asker_must whose answer does not matter. */
void asker_do(struct asker *a, const struct consul_op *op, const struct consul_args *args);
/* The error's code of a call whose sentence must hold these words. */
int asker_refused(struct asker *a, const struct consul_op *op, const struct consul_args *args, const char *words);
void asker_put(struct asker *a, const char *key, const char *value);

#endif
