/* cmd_node_scale_in: `node scale-in`: taking nodes away, watching them become free, and changing one's mind. */
#include <errno.h>

#include "base/clock.h"
#include "base/uuid.h"
#include "daemon/cli_node.h"

#define WAIT          "10s"        /* of one blocking read */
#define LATE          (5 * SECOND) /* after the deadline, for reports that are on their way */
#define EXIT_DEADLINE 3
#define FAILED        "Error taking nodes away"

/* ---- tables ---- */

static const char *time_left(struct cli *c, const struct scale_in_node *x)
{
	char text[DURATION_STR];

	return x->time_left > 0 ? arena_strdup(c->arena, duration_format(x->time_left / SECOND * SECOND, text)) : "";
}

static void put_nodes(struct cli *c, const struct scale_in *op)
{
	struct table t = table_new(c->arena, "-");

	table_row(&t, "ID|Name|Class|Status|Cost|Allocs|Time Left|Explanation");
	OBJS_EACH(&op->nodes, const struct scale_in_node, x) {
		table_cell(&t, "%s", short_id(c, x->node_id));
		table_cell(&t, "%s", str_or(x->name, ""));
		table_cell(&t, "%s", str_or(x->node_class, ""));
		table_cell(&t, "%s", str_or(x->status, "would go"));
		table_cell(&t, "%s", str_or(x->cost, ""));
		table_cell(&t, "%lld", (long long)x->allocations);
		table_cell(&t, "%s", time_left(c, x));
		table_cell(&t, "%s", str_or(x->reason, ""));
		table_end_row(&t);
	}
	table_print(&t, stdout);
}

static void put_list(struct cli *c, const struct objs *ops)
{
	struct table t = table_new(c->arena, "<none>");

	table_row(&t, "ID|Status|Count|Free|Draining|Class|Filter|Deadline|Created");
	OBJS_EACH(ops, const struct scale_in, op) {
		table_cell(&t, "%s", short_id(c, op->id));
		table_cell(&t, "%s", str_or(op->status, ""));
		table_cell(&t, "%lld", (long long)op->count);
		table_cell(&t, "%lld", (long long)op->free);
		table_cell(&t, "%lld", (long long)op->draining);
		table_cell(&t, "%s", str_or(op->node_class, ""));
		table_cell(&t, "%s", str_or(op->filter, ""));
		table_cell(&t, "%s", op->force_deadline ? local_time(c, op->force_deadline) : "");
		table_cell(&t, "%s", list_time(c, op->created_at));
		table_end_row(&t);
	}
	table_print(&t, stdout);
}

/* ---- which operation ---- */

static int read_all(struct cli *c, struct objs *ops)
{
	cleanup_err struct err e = ERR_INIT;

	return cli_get_list(c, &type_scale_in, ops, &e, "/v1/nodes/scale-in") < 0 ? cli_fail("Error querying operations", &e) : 0;
}

/* The one that is named, or the only one that runs; prints what is wrong. */
static const struct scale_in *find(struct cli *c, const char *text)
{
	const struct scale_in *found = NULL;
	struct objs ops = {0};
	int n = 0;

	if (read_all(c, &ops))
		return NULL;
	OBJS_EACH(&ops, const struct scale_in, op) {
		if (text ? !str_starts(op->id, text) : !str_eq(op->status, "running"))
			continue;
		found = op;
		n++;
	}
	if (n == 1)
		return found;
	if (n)
		fprintf(stderr, "%s: name one by -id\n", text ? "Several operations begin with that" : "Several operations run");
	else if (text)
		fprintf(stderr, "No operation with prefix or id \"%s\" found\n", text);
	else
		fputs("No operation runs\n", stderr);
	return NULL;
}

/* ---- watching ---- */

struct watch_nodes {
	struct cli *c;
	const char *op;
	struct strmap seen; /* node -> status, as printed last */
	uint64_t index;
};

static void say(struct watch_nodes *w, const char *fmt, ...) PRINTF(2, 3);
static void say(struct watch_nodes *w, const char *fmt, ...)
{
	va_list ap;

	printf("%s: ", local_time(w->c, clock_now()));
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

static void show_node(struct watch_nodes *w, const struct scale_in_node *x)
{
	static const struct {
		const char *status, *text;
	} words[] = {
	    {"free", "is free"}, {"gone", "is free: nobody knows it any more"}, {"kept", "stays: somebody took it back"}};
	const char *before = strmap_get(&w->seen, x->node_id);

	if (str_eq(before, x->status))
		return;
	strmap_set(
	    w->c->arena, &w->seen, arena_strdup(w->c->arena, x->node_id), arena_strdup(w->c->arena, str_or(x->status, "")));
	if (str_eq(x->status, "draining"))
		say(w, "Node \"%s\" (%s) drains: %s", x->node_id, str_or(x->name, ""), str_or(x->reason, ""));
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (str_eq(x->status, words[i].status))
			say(w, "Node \"%s\" (%s) %s", x->node_id, str_or(x->name, ""), words[i].text);
}

static void show_nodes(struct watch_nodes *w, const struct scale_in *op)
{
	for (uint32_t i = 0; i < w->seen.n; i++) {
		bool there = false;

		OBJS_EACH(&op->nodes, const struct scale_in_node, x)
			there = there || str_eq(x->node_id, w->seen.v[i].key);
		if (there || str_eq(w->seen.v[i].value, "returned"))
			continue;
		say(w, "Node \"%s\" stays: it takes work again", w->seen.v[i].key);
		w->seen.v[i].value = "returned";
	}
	OBJS_EACH(&op->nodes, const struct scale_in_node, y)
		show_node(w, y);
}

static int give_up(const struct scale_in *op)
{
	fflush(stdout);
	fprintf(stderr, "The deadline is over, and %lld node%s not free: `drover node drain -monitor <node>` says why\n",
	    (long long)op->draining, op->draining == 1 ? " is" : "s are");
	OBJS_EACH(&op->nodes, const struct scale_in_node, x)
		if (str_eq(x->status, "draining"))
			fprintf(stderr, "  %s (%s): %s\n", x->node_id, str_or(x->name, ""), str_or(x->reason, ""));
	return EXIT_DEADLINE;
}

/* -1: it goes on; else the exit code. */
static int judge(struct watch_nodes *w, const struct scale_in *op)
{
	if (str_eq(op->status, "complete")) {
		say(w, "Scale-in complete: %lld node%s free", (long long)op->free, op->free == 1 ? " is" : "s are");
		return 0;
	}
	if (str_eq(op->status, "canceled")) {
		say(w, "Scale-in canceled: %lld node%s free", (long long)op->free, op->free == 1 ? " is" : "s are");
		return 1;
	}
	bool finishes = op->drain_spec && op->drain_spec->finish_batch; /* builds beyond the deadline, too */

	if (op->force_deadline && !finishes && clock_now() > op->force_deadline + LATE)
		return give_up(op);
	return -1;
}

static int watch(struct cli *c, const char *id)
{
	struct watch_nodes w = {.c = c, .op = id};

	for (;;) {
		cleanup_err struct err e = ERR_INIT;
		struct scale_in op = {0};
		int code;

		if (cli_get(c, &type_scale_in, &op, &e, "/v1/nodes/scale-in/%s?index=%llu&wait=" WAIT, id,
			(unsigned long long)w.index) < 0)
			return cli_fail("Error watching nodes", &e);
		w.index = c->index;
		show_nodes(&w, &op);
		code = judge(&w, &op);
		if (code >= 0)
			return code;
	}
}

/* ---- what is asked for ---- */

static int check_flags(const struct cmd_args *a)
{
	bool cancel = arg_bool(a, "cancel"), list = arg_bool(a, "list"), monitor = arg_bool(a, "monitor");
	bool counts = arg_given(a, "count");

	if (cancel + list + monitor + counts != 1)
		return cmd_misused(a->cmd, "One of -count, -monitor, -list and -cancel must be given");
	if (counts && arg_int(a, "count", 0) < 0)
		return cmd_misused(a->cmd, "-count takes a number of nodes");
	if (!counts &&
	    (arg_given(a, "deadline") || arg_bool(a, "no-deadline") || arg_bool(a, "ignore-system") || arg_given(a, "m")))
		return cmd_misused(a->cmd, "Flags that say how nodes are drained go with -count");
	if (arg_given(a, "deadline") && arg_bool(a, "no-deadline"))
		return cmd_misused(a->cmd, "-deadline and -no-deadline are mutually exclusive");
	if (arg_given(a, "deadline") && arg_int(a, "deadline", 0) <= 0) {
		fprintf(stderr, "A positive drain duration must be given\n");
		return 1;
	}
	return 0;
}

static void fill_request(struct cli *c, struct scale_in_request *r, const char *id)
{
	const struct cmd_args *a = c->args;

	MODEL_SET(scale_in_request, r, id, id);
	MODEL_SET(scale_in_request, r, count, arg_int(a, "count", 0));
	MODEL_SET(scale_in_request, r, node_class, arg_str(a, "class", ""));
	MODEL_SET(scale_in_request, r, filter, arg_str(a, "filter", ""));
	r->drain_spec = MODEL_NEW(c->arena, drain_spec);
	MODEL_SET(drain_spec, r->drain_spec, deadline, arg_bool(a, "no-deadline") ? 0 : arg_int(a, "deadline", HOUR));
	if (!arg_bool(a, "no-deadline") && !arg_given(a, "deadline"))
		MODEL_SET(drain_spec, r->drain_spec, finish_batch, true);
	MODEL_SET(drain_spec, r->drain_spec, ignore_system_jobs, arg_bool(a, "ignore-system"));
	if (arg_given(a, "m"))
		strmap_set(c->arena, &r->meta, "message", arg_str(a, "m", ""));
	strmap_set(c->arena, &r->meta, "set_by", cli_who(c));
}

static int send(struct cli *c, const struct scale_in_request *r, struct scale_in **op)
{
	struct scale_in_answer *answer = MODEL_NEW(c->arena, scale_in_answer);
	cleanup_err struct err e = ERR_INIT;

	if (cli_send(c, "PUT", &type_scale_in_request, r, &type_scale_in_answer, answer, &e, "/v1/nodes/scale-in") < 0)
		return cli_fail(FAILED, &e);
	*op = answer->scale_in;
	return 0;
}

static int confirm(struct cli *c, struct scale_in_request *r, int *code)
{
	struct scale_in *plan;

	MODEL_SET(scale_in_request, r, dry_run, true);
	*code = send(c, r, &plan);
	if (*code)
		return -EINVAL;
	MODEL_SET(scale_in_request, r, dry_run, false);
	put_nodes(c, plan);
	putchar('\n');
	return cli_confirm("Are you sure you want to drain these nodes?", "Canceling scale-in", code);
}

static int take_nodes(struct cli *c, const char *known)
{
	struct scale_in_request r = {0};
	struct scale_in *op;
	char id[UUID_STR];
	int code = 0;

	/* A request that is sent again, as its answer was lost, is the same one. */
	fill_request(c, &r, known ? known : uuid_format(uuid_random(), id));
	if (!arg_bool(c->args, "yes") && confirm(c, &r, &code) < 0)
		return code;
	code = send(c, &r, &op);
	if (code || cli_format(c, &type_scale_in, op, &code))
		return code;
	printf("%s: Scale-in \"%s\": %lld of %lld nodes drain\n", local_time(c, clock_now()), op->id, (long long)op->draining,
	    (long long)op->count);
	if (arg_bool(c->args, "detach"))
		return 0;
	printf("%s: Ctrl-C to stop monitoring: will not cancel the scale-in\n", local_time(c, clock_now()));
	return watch(c, op->id);
}

static int cancel(struct cli *c, const struct scale_in *op)
{
	struct scale_in_answer answer = {0};
	cleanup_err struct err e = ERR_INIT;

	if (cli_send(c, "DELETE", NULL, NULL, &type_scale_in_answer, &answer, &e, "/v1/nodes/scale-in/%s", op->id) < 0)
		return cli_fail("Error canceling scale-in", &e);
	op = answer.scale_in;
	printf(
	    "Scale-in \"%s\" %s: %lld node%s free\n", op->id, op->status, (long long)op->free, op->free == 1 ? " is" : "s are");
	return 0;
}

static int list(struct cli *c, const char *id)
{
	const struct scale_in *op;
	struct objs ops = {0};
	int code;

	if (id && !(op = find(c, id)))
		return 1;
	if (id) {
		if (!cli_format(c, &type_scale_in, op, &code))
			put_nodes(c, op);
		return 0;
	}
	if (cli_wants_format(c)) {
		cleanup_err struct err e = ERR_INIT;
		struct value *v;

		if (cli_get_value(c, &v, &e, "/v1/nodes/scale-in") < 0)
			return cli_fail("Error querying operations", &e);
		cli_format_list(c, &type_scale_in, v, &code);
		return code;
	}
	if (read_all(c, &ops))
		return 1;
	if (ops.n)
		put_list(c, &ops);
	else
		puts("No nodes were taken away");
	return 0;
}

static int run_scale_in(struct cmd_args *a)
{
	const char *id = arg_str(a, "id", NULL);
	const struct scale_in *op = NULL;
	struct cli c;
	int code = check_flags(a);

	if (code || cli_open(&c, a) < 0)
		return 1;
	if (arg_bool(a, "list"))
		return list(&c, id);
	if ((id || !arg_given(a, "count")) && !(op = find(&c, id)))
		return 1;
	if (op && arg_given(a, "count") && !str_eq(op->status, "running")) {
		fprintf(stderr, "Scale-in \"%s\" is %s: ask for more without -id\n", op->id, op->status);
		return 1;
	}
	if (arg_bool(a, "cancel"))
		return cancel(&c, op);
	return arg_bool(a, "monitor") ? watch(&c, op->id) : take_nodes(&c, op ? op->id : NULL);
}

static const struct cmd_flag flags[] = {
    {"count", CMD_INT, "<n>", "So many nodes are to be free. Lower than before: the most expensive ones stay."},
    {"class", CMD_STR, "<class>", "Of this node class."},
    {"filter", CMD_STR, "<expression>", "Of those that match, as with `node status -filter`."},
    {"deadline", CMD_DUR, "<duration>", "What still runs by then is stopped, so that it is gone then. Default: 1h, none for builds that are to be finished."},
    {"no-deadline", CMD_BOOL, NULL, "Batch work is left to finish for as long as it takes."},
    {"ignore-system", CMD_BOOL, NULL, "Leave allocations of system jobs alone."},
    {"m", CMD_STR, "<text>", "Why, for those who look at the nodes."},
    {"id", CMD_STR, "<id>", "The operation that is meant; without it the only one that runs, or with -count a new one."},
    {"cancel", CMD_BOOL, NULL, "Nodes that are not free yet take work again."},
    {"monitor", CMD_BOOL, NULL, "Watch one that runs."},
    {"list", CMD_BOOL, NULL, "The operations that are known, or with -id the nodes of one."},
    {"detach", CMD_BOOL, NULL, "Do not wait until the nodes are free."},
    {"yes", CMD_BOOL, NULL, "Do not show which nodes would go, and do not ask."},
    {NULL, 0, NULL, NULL},
};

const struct cmd cmds_node_scale_in[] = {
    {
	.words = "node scale-in",
	.usage = "[options]",
	.synopsis = "Choose nodes that cost least to take away, and empty them",
	.help =
	    "Chooses idle nodes first, then such whose services have another place, then those whose batch work has least\n"
	    "time left, by what earlier runs took; a node whose leaving would keep a service from running anywhere goes only\n"
	    "when no other is left. All are drained at once, by one operation that the servers keep. Each node is\n"
	    "printed when it is free. While that lasts, a node that has become idle goes in the place of one that waits\n"
	    "for batch work.\n\n"
	    "Asked again for the same class and filter while it runs, -count changes it. What is free stays free.\n\n"
	    "Exit codes: 0 done (or begun, with -detach); 1 an error, or it was canceled; 3 the deadline is over and\n"
	    "a node is not free.\n",
	.flags = flags,
	.max_pos = 0,
	.bits = CMD_CLIENT | CMD_JSON,
	.run = run_scale_in,
    },
    {.words = NULL},
};
