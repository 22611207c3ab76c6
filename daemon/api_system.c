/*
 * api_system: what operators do to the whole: collect garbage, choose the algorithm.
 */
#include <errno.h>

#include "base/codec.h"
#include "daemon/daemon.h"
#include "daemon/jwriter.h"
#include "daemon/metrics.h"
#include "daemon/server.h"

static void put_gc(struct call *c)
{
	cleanup_err struct err e = ERR_INIT;
	uint64_t index;

	if (core_gc(call_core(c), call_now(c), &index, &e) < 0)
		call_fail(c, &e);
	else
		call_none(c, 200);
}

/* Summaries are counted while entries are applied, so there is never a difference to repair. */
static void put_reconcile(struct call *c)
{
	call_none(c, 200);
}

static void get_scheduler(struct call *c)
{
	const struct state *s = call_state(c);
	uint64_t index = MAX(s->table_index[TABLE_CONFIG], (uint64_t)s->config->modify_index);
	struct jwriter w = jw_new(call_out(c), call_indent(c));

	jw_begin(&w, '{');
	jw_int(&w, "Index", (int64_t)index);
	jw_bool(&w, "KnownLeader", true);
	jw_int(&w, "LastContact", 0);
	jw_key(&w, "SchedulerConfig");
	codec_to_json(w.b, &type_scheduler_config, s->config, CODEC_API, w.indent, w.depth);
	jw_end(&w, '}');
	call_set_index(c, index);
	call_json(c, 200);
}

static void put_scheduler(struct call *c)
{
	struct scheduler_config *cfg = MODEL_NEW(call_arena(c), scheduler_config);
	struct jwriter w = jw_new(call_out(c), call_indent(c));
	cleanup_err struct err e = ERR_INIT;
	const char *cas = call_query(c, "cas");
	uint64_t index = call_state(c)->index, expect = 0;
	char *end = NULL;
	bool update = true;
	size_t n;
	const void *body = call_body(c, &n);

	if (codec_from_text(&type_scheduler_config, cfg, body, n, call_arena(c), &e) < 0) {
		call_error(c, 400, "Error parsing scheduler config: %s", err_str(&e));
		return;
	}
	if (cas) {
		expect = strtoull(cas, &end, 10);
		if (end == cas || *end) {
			call_error(c, 400, "Error parsing cas value: \"%s\" is no index", cas);
			return;
		}
		update = expect == (uint64_t)call_state(c)->config->modify_index;
	}
	if (str_empty(cfg->scheduler_algorithm))
		MODEL_SET(scheduler_config, cfg, scheduler_algorithm, "binpack");
	if (!str_eq(cfg->scheduler_algorithm, "binpack") && !str_eq(cfg->scheduler_algorithm, "spread")) {
		call_error(c, 400, "invalid scheduler algorithm: %s", cfg->scheduler_algorithm);
		return;
	}
	if (update && core_scheduler_config(call_core(c), cfg, call_now(c), &index, &e) < 0) {
		call_fail(c, &e);
		return;
	}
	jw_begin(&w, '{');
	jw_int(&w, "Index", (int64_t)index);
	jw_bool(&w, "Updated", update);
	jw_end(&w, '}');
	call_set_index(c, index);
	call_json(c, 200);
}

static void get_metrics(struct call *c)
{
	const char *format = call_query(c, "format");

	if (str_empty(format)) {
		metrics_json(call_daemon(c), call_out(c), call_indent(c), call_arena(c));
		call_json(c, 200);
	} else if (!str_eq(format, "prometheus")) {
		call_error(c, 400, "Unknown metrics format \"%s\"; expected \"prometheus\" or none", format);
	} else if (!call_daemon(c)->config->prometheus_metrics) {
		call_error(c, 415, "Prometheus is not enabled");
	} else {
		metrics_prometheus(call_daemon(c), call_out(c), call_arena(c));
		call_body_as(c, 200, "text/plain; version=0.0.4; charset=utf-8");
	}
}

const struct route routes_system[] = {
    {ROUTE_PUT_ONLY | ROUTE_SERVER, "/v1/system/gc", NULL, put_gc, NULL, "forget what is dead, whatever its age"},
    {ROUTE_PUT_ONLY | ROUTE_SERVER, "/v1/system/reconcile/summaries", NULL, put_reconcile, NULL, "repair job summaries"},
    {ROUTE_GET | ROUTE_PUT | ROUTE_SERVER, "/v1/operator/scheduler/configuration", get_scheduler, put_scheduler, NULL,
        "algorithm and options of the scheduler; cas= guards a change"},
    {ROUTE_GET, "/v1/metrics", get_metrics, NULL, NULL, "figures of this agent; format=prometheus"},
    {.pattern = NULL},
};
