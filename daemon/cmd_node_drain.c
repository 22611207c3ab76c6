/*
 * cmd_node_drain: `node drain`: setting, cancelling and watching a drain. It is done when the servers say so: every process
 * gone and every entry removed from Consul.
 */
#include <errno.h>

#include "base/clock.h"
#include "daemon/cli_node.h"

#define WAIT          "10s"           /* of one blocking read */
#define PACE          (100 * MILLI)   /* between two looks */
#define LATE          (5 * SECOND)    /* after the deadline, for reports that are on their way */
#define EXIT_DEADLINE 3
#define EXIT_DOWN     4

/* ---- watching ---- */

struct seen { /* an allocation, as it was printed last */
	const char *status, *desired;
	bool marked;
};

struct watch_drain {
	struct cli *c;
	const char *node;
	struct objmap seen; /* id -> struct seen */
	uint64_t index;     /* of the last look */
	const char *waits;  /* as printed last */
};

static void say(struct watch_drain *w, const char *fmt, ...) PRINTF(2, 3);
static void say(struct watch_drain *w, const char *fmt, ...)
{
	va_list ap;

	printf("%s: ", local_time(w->c, clock_now()));
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

static bool is_running(const char *status)
{
	return str_eq(status, "running") || str_eq(status, "pending");
}

static struct seen *find_seen(struct watch_drain *w, const char *id)
{
	struct seen *s = objmap_get(&w->seen, id);

	if (!s) {
		s = arena_alloc(w->c->arena, sizeof(*s));
		*s = (struct seen){.status = "pending", .desired = "run"};
		objmap_set(w->c->arena, &w->seen, arena_strdup(w->c->arena, id), s);
	}
	return s;
}

static void show_change(struct watch_drain *w, const struct drain_change *x)
{
	struct seen *s = find_seen(w, x->alloc_id);

	if (x->migrate && !s->marked && is_running(s->status))
		say(w, "Alloc \"%s\" marked for migration", x->alloc_id);
	if (str_eq(s->desired, "run") && !str_eq(x->desired_status, "run") && is_running(s->status))
		say(w, "Alloc \"%s\" draining", x->alloc_id);
	if (!str_eq(s->status, x->client_status))
		say(w, "Alloc \"%s\" status %s -> %s", x->alloc_id, s->status, x->client_status);
	*s = (struct seen){arena_strdup(w->c->arena, x->client_status), arena_strdup(w->c->arena, x->desired_status), x->migrate};
}

/* What the node has before the drain, or when somebody begins to watch: what follows are changes of that. */
static int begin(struct watch_drain *w, struct drain_answer *d, struct err *e)
{
	int rc = cli_get(w->c, &type_drain_answer, d, e, "/v1/node/%s/drain?changes=0", w->node);

	if (rc < 0)
		return rc;
	w->index = w->c->index;
	OBJS_EACH(&d->changes, const struct drain_change, x)
		*find_seen(w, x->alloc_id) = (struct seen){x->client_status, x->desired_status, x->migrate};
	return 0;
}

/* "3 allocations: 2 batch-running, 1 stopping" */
static const char *sum_up(struct watch_drain *w, const struct drain_answer *d)
{
	struct intmap codes = {0};
	cleanup_buf struct buf b = BUF_INIT;

	OBJS_EACH(&d->waits, const struct drain_wait, x)
		intmap_set(w->c->arena, &codes, x->code, intmap_get(&codes, x->code) + 1);
	buf_printf(&b, "%lld allocation%s: ", (long long)d->remaining, d->remaining == 1 ? "" : "s");
	for (uint32_t i = 0; i < codes.n; i++)
		buf_printf(&b, "%s%lld %s", i ? ", " : "", (long long)codes.v[i].value, codes.v[i].key);
	return arena_strdup(w->c->arena, b.data);
}

static void show_waits(struct watch_drain *w, const struct drain_answer *d)
{
	const char *waits = sum_up(w, d);

	if (d->remaining && !str_eq(waits, w->waits))
		say(w, "Node \"%s\" waits for %s", w->node, waits);
	w->waits = waits;
}

static int give_up(struct watch_drain *w, const struct drain_answer *d)
{
	fflush(stdout);
	fprintf(stderr, "The deadline of the drain of node \"%s\" is over, and %lld allocation%s still there:\n", w->node,
	    (long long)d->remaining, d->remaining == 1 ? " is" : "s are");
	OBJS_EACH(&d->waits, const struct drain_wait, x)
		fprintf(stderr, "  %s of job \"%s\" (%s): %s\n", x->alloc_id, x->job_id, x->code, x->reason);
	return EXIT_DEADLINE;
}

/* -1: it goes on; else the exit code. */
static int judge(struct watch_drain *w, const struct drain_answer *d)
{
	if (str_eq(d->status, "complete") && d->unconfirmed) {
		fflush(stdout);
		fprintf(stderr, "Node \"%s\" is down: its drain is over, and nobody can say what still runs there\n", w->node);
		return EXIT_DOWN;
	}
	if (str_eq(d->status, "complete")) {
		say(w, "Drain complete for node %s", w->node);
		say(w, "All allocations on node \"%s\" have stopped", w->node);
		return 0;
	}
	if (!str_eq(d->status, "draining")) {
		say(w, "Drain of node %s was canceled", w->node);
		return 1;
	}
	show_waits(w, d);
	if (d->past_deadline && d->remaining && clock_now() > d->force_deadline + LATE)
		return give_up(w, d);
	return -1;
}

static int watch(struct watch_drain *w)
{
	for (;;) {
		cleanup_err struct err e = ERR_INIT;
		struct drain_answer d = {0};
		int64_t began = clock_monotonic();
		unsigned long long since = w->index;
		int code;

		if (cli_get(w->c, &type_drain_answer, &d, &e, "/v1/node/%s/drain?index=%llu&wait=" WAIT "&changes=%llu", w->node,
		        since, since) < 0)
			return cli_fail("Error monitoring drain", &e);
		w->index = w->c->index;
		OBJS_EACH(&d.changes, const struct drain_change, x)
			show_change(w, x);
		code = judge(w, &d);
		if (code >= 0)
			return code;
		/* A thousand allocations that end together are looked at together. */
		if (clock_monotonic() - began < PACE)
			usleep((useconds_t)((PACE - (clock_monotonic() - began)) / 1000));
	}
}

static int run_monitor(struct cli *c, const char *node)
{
	cleanup_err struct err e = ERR_INIT;
	struct watch_drain w = {.c = c, .node = node, .waits = ""};
	struct drain_answer d = {0};
	int code;

	if (begin(&w, &d, &e) < 0)
		return cli_fail("Error monitoring drain", &e);
	if (!str_eq(d.status, "draining")) {
		fprintf(stderr, "No drain strategy set\n");
		return 0;
	}
	say(&w, "Monitoring node \"%s\": Ctrl-C to detach monitoring", node);
	OBJS_EACH(&d.changes, const struct drain_change, x) {
		find_seen(&w, x->alloc_id)->marked = false;
		show_change(&w, x);
	}
	code = judge(&w, &d);
	return code >= 0 ? code : watch(&w);
}

/* ---- setting ---- */

static int check_flags(const struct cmd_args *a)
{
	bool enable = arg_bool(a, "enable"), disable = arg_bool(a, "disable"), monitor = arg_bool(a, "monitor");
	bool force = arg_bool(a, "force"), no_deadline = arg_bool(a, "no-deadline"), self = arg_bool(a, "self");

	if (monitor ? enable && disable : enable == disable)
		return cmd_misused(a->cmd, "Either the '-enable' or '-disable' flag must be set, unless using '-monitor'");
	if (disable && (force || no_deadline || arg_given(a, "deadline") || arg_bool(a, "ignore-system")))
		return cmd_misused(a->cmd, "-disable can't be combined with flags configuring drain strategy");
	if (arg_given(a, "deadline") && (force || no_deadline))
		return cmd_misused(a->cmd, "-deadline can't be combined with -force or -no-deadline");
	if (force && no_deadline)
		return cmd_misused(a->cmd, "-force and -no-deadline are mutually exclusive");
	if (arg_bool(a, "detach") && monitor)
		return cmd_misused(a->cmd, "-detach and -monitor are mutually exclusive");
	if (!self && a->n_pos != 1)
		return cmd_misused(a->cmd, "Node ID must be specified if -self isn't being used");
	if (self && a->n_pos)
		return cmd_misused(a->cmd, "Either a node or -self can be given, not both");
	if (arg_given(a, "deadline") && arg_int(a, "deadline", 0) <= 0) {
		fprintf(stderr, "A positive drain duration must be given\n");
		return 1;
	}
	return 0;
}

static int read_meta(struct cli *c, struct strmap *meta)
{
	const struct strs *list = arg_list(c->args, "meta");

	for (uint32_t i = 0; i < list->n; i++) {
		const char *eq = strchr(list->v[i], '=');

		if (!eq || eq == list->v[i]) {
			fprintf(stderr, "Invalid -meta \"%s\": expected key=value\n", list->v[i]);
			return -EINVAL;
		}
		strmap_set(c->arena, meta, arena_strndup(c->arena, list->v[i], (size_t)(eq - list->v[i])), eq + 1);
	}
	if (arg_given(c->args, "m"))
		strmap_set(c->arena, meta, "message", arg_str(c->args, "m", ""));
	strmap_set(c->arena, meta, "set_by", cli_who(c));
	return 0;
}

static int fill_request(struct cli *c, struct drain_request *r)
{
	const struct cmd_args *a = c->args;

	if (read_meta(c, &r->meta) < 0)
		return -EINVAL;
	r->has |= MODEL_BIT(drain_request, meta);
	if (arg_bool(a, "disable")) {
		MODEL_SET(drain_request, r, mark_eligible, !arg_bool(a, "keep-ineligible"));
		return 0;
	}
	r->drain_spec = MODEL_NEW(c->arena, drain_spec);
	MODEL_SET(drain_spec, r->drain_spec, deadline,
	    arg_bool(a, "force") ? -SECOND : arg_bool(a, "no-deadline") ? 0 : arg_int(a, "deadline", HOUR));
	if (!arg_bool(a, "force") && !arg_bool(a, "no-deadline") && !arg_given(a, "deadline"))
		MODEL_SET(drain_spec, r->drain_spec, finish_batch, true);
	MODEL_SET(drain_spec, r->drain_spec, ignore_system_jobs, arg_bool(a, "ignore-system"));
	return 0;
}

static int run_drain(struct cmd_args *a)
{
	struct drain_request r = {0};
	cleanup_err struct err e = ERR_INIT;
	struct drain_answer before = {0};
	bool enable = arg_bool(a, "enable"), self = arg_bool(a, "self");
	const char *node;
	struct cli c;
	int code = check_flags(a);

	if (code || cli_open(&c, a) < 0)
		return 1;
	node = self ? cli_node_self(&c) : cli_node_find(&c, a->pos[0], "Error toggling drain mode", "prefix or id");
	if (!node)
		return 1;
	if (!enable && !arg_bool(a, "disable"))
		return run_monitor(&c, node);
	/* Who writes a part of an id may mean another node. */
	if (!arg_bool(a, "yes") && !self && !str_eq(a->pos[0], node) &&
	    cli_confirm(arena_printf(c.arena, "Are you sure you want to %s drain mode for node \"%s\"?",
	                    enable ? "enable" : "disable", node), "Canceling drain toggle", &code) < 0)
		return code;
	if (fill_request(&c, &r) < 0)
		return 1;
	struct watch_drain w = {.c = &c, .node = node, .waits = ""};

	if (begin(&w, &before, &e) < 0)
		return cli_fail("Error updating drain specification", &e);
	if (cli_send(&c, "PUT", &type_drain_request, &r, NULL, NULL, &e, "/v1/node/%s/drain", node) < 0)
		return cli_fail("Error updating drain specification", &e);
	if (!enable || arg_bool(a, "detach")) {
		printf("Node \"%s\" drain strategy %s\n", node, enable ? "set" : "unset");
		return 0;
	}
	say(&w, "Ctrl-C to stop monitoring: will not cancel the node drain");
	say(&w, "Node \"%s\" drain strategy set", node);
	return watch(&w);
}

static const struct cmd_flag flags[] = {
    {"enable", CMD_BOOL, NULL, "Drain the node, or change the drain that goes on."},
    {"disable", CMD_BOOL, NULL, "Cancel its drain, and let it take new work again."},
    {"deadline", CMD_DUR, "<duration>", "What still runs is gone by then: stopping begins early enough. Default: 1h, none for builds that are to be finished."},
    {"no-deadline", CMD_BOOL, NULL, "Wait for as long as it takes: batch work is left to finish."},
    {"force", CMD_BOOL, NULL, "Stop everything now."},
    {"ignore-system", CMD_BOOL, NULL, "Leave allocations of system jobs alone."},
    {"keep-ineligible", CMD_BOOL, NULL, "With -disable: the node takes no new work yet."},
    {"m", CMD_STR, "<text>", "Why, for those who look at the node."},
    {"meta", CMD_LIST, "<key=value>", "Kept with the drain. May be given several times."},
    {"self", CMD_BOOL, NULL, "The node of the agent that is asked."},
    {"detach", CMD_BOOL, NULL, "Do not wait until the drain is done."},
    {"monitor", CMD_BOOL, NULL, "Watch a drain that goes on."},
    {"yes", CMD_BOOL, NULL, "Do not ask."},
    {NULL, 0, NULL, NULL},
};

const struct cmd cmds_node_drain[] = {
    {
        .words = "node drain",
        .aliases = "node-drain",
        .usage = "[options] <node>",
        .synopsis = "Empty a node, and say when it is empty",
        .help = "A drained node takes no new work at once. Services move by their migrate blocks: a replacement is healthy\n"
                "elsewhere before the old allocation is stopped. Batch work is left to finish until the deadline; what is cut\n"
                "off then is done again elsewhere, not lost. System jobs go last.\n\n"
                "Batch work whose job or group says `meta { drover_drain = \"finish\" }` is cut off by a deadline only when one is\n"
                "given, or by -force: without, the node takes nothing new and what runs is finished, however long it takes.\n\n"
                "The drain is kept by the servers: it goes on when this command ends, and under another leader. It is done when\n"
                "every process is gone and nothing of them stands in Consul any more; `drover node drain -monitor` says what it\n"
                "still waits for.\n\n"
                "Exit codes: 0 done (or set, with -detach); 1 an error, or the drain was canceled; 3 the deadline is over and\n"
                "something still runs; 4 the node went down meanwhile, and nobody can say what still runs there.\n",
        .flags = flags,
        .max_pos = -1,
        .bits = CMD_CLIENT,
        .run = run_drain,
    },
    {.words = NULL},
};
