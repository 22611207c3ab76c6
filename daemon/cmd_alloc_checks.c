/* cmd_alloc_checks: what an allocation has in Consul: its services and their checks; part of `alloc status`, and alone. */
#include "base/clock.h"
#include "daemon/cli_alloc.h"

#define OUTPUT_MAX 60 /* characters of a check's output in a table */

static int read_services(struct cli *c, const struct allocation *a, struct objs *out, struct err *e)
{
	return cli_get_list(c, &type_service_registration, out, e, "/v1/allocation/%s/services", a->id);
}

static uint32_t count_checks(const struct objs *services)
{
	uint32_t n = 0;

	OBJS_EACH(services, const struct service_registration, s)
		n += s->checks.n;
	return n;
}

/* The first line, cut. */
static const char *brief(struct cli *c, const char *output)
{
	size_t n = strcspn(output, "\r\n");
	bool cut = n > OUTPUT_MAX;

	n = MIN(n, (size_t)OUTPUT_MAX);
	while (cut && n && ((unsigned char)output[n] & 0xc0) == 0x80) /* not inside a character */
		n--;
	return arena_printf(c->arena, "%.*s%s", (int)n, output, cut ? "..." : "");
}

static const char *whose(const char *task)
{
	return str_empty(task) ? "(group)" : task;
}

static const char *status_of(struct cli *c, const struct check_result *r)
{
	static const struct {
		const char *status, *color;
	} colors[] = {{"passing", "32"}, {"warning", "33"}, {"critical", "31"}};

	for (size_t i = 0; i < ARRAY_LEN(colors); i++)
		if (str_eq(r->consul_status, colors[i].status))
			return colored(c, colors[i].color, r->consul_status);
	return "unknown";
}

static void put_services(struct cli *c, const struct objs *services)
{
	struct table t = table_new(c->arena, "<none>");

	print_title(c, "Services in Consul");
	table_row(&t, "Service|Task|Address|State");
	OBJS_EACH(services, const struct service_registration, s)
	{
		const char *form = strchr(str_or(s->address, ""), ':') ? "[%s]:%lld" : "%s:%lld";

		table_cell(&t, "%s", s->service_name);
		table_cell(&t, "%s", whose(s->task));
		table_cell(&t, s->port ? form : "%s", str_or(s->address, ""), (long long)s->port);
		table_cell(&t, "%s%s%s", s->state, str_empty(s->error) ? "" : ": ", str_or(s->error, ""));
		table_end_row(&t);
	}
	table_print(&t, stdout);
}

static void put_checks(struct cli *c, const struct objs *services)
{
	struct table t = table_new(c->arena, "<none>");

	print_title(c, "Service Checks");
	table_row(&t, "Service|Check|Type|Status|Output");
	OBJS_EACH(services, const struct service_registration, s)
		OBJS_EACH(&s->checks, const struct check_result, r)
		{
			table_cell(&t, "%s", s->service_name);
			table_cell(&t, "%s", r->check);
			table_cell(&t, "%s", r->type);
			table_cell(&t, "%s", status_of(c, r));
			table_cell(&t, "%s", brief(c, str_or(r->output, "")));
			table_end_row(&t);
		}
	table_print(&t, stdout);
}

void cli_alloc_put_services(struct cli *c, const struct allocation *a)
{
	cleanup_err struct err e = ERR_INIT;
	struct objs services = {0};

	/* A client that cannot be asked is told of where its statistics are missing. */
	if (read_services(c, a, &services, &e) < 0 || !services.n)
		return;
	put_services(c, &services);
	if (count_checks(&services))
		put_checks(c, &services);
}

/* ---- alloc checks ---- */

static void put_check(struct cli *c, const struct check_result *r)
{
	struct table t = table_new(c->arena, "<none>");

	kv(&t, "ID", "%s", r->id);
	kv(&t, "Name", "%s", r->check);
	kv(&t, "Group", "%s", r->group);
	kv(&t, "Task", "%s", whose(r->task));
	kv(&t, "Service", "%s", r->service);
	kv(&t, "Type", "%s", r->type);
	kv(&t, "Mode", "%s", r->mode);
	kv(&t, "Status", "%s", status_of(c, r));
	kv(&t, "Since", "%s", list_time(c, r->timestamp * SECOND));
	kv_print(&t, stdout);
	printf("Output  = %s\n", str_empty(r->output) ? "<none>" : r->output);
}

static int run_checks(struct cmd_args *a)
{
	cleanup_err struct err e = ERR_INIT;
	struct allocation *alloc;
	struct objs services = {0};
	struct value *all;
	struct cli c;
	int code;

	if (cli_open(&c, a) < 0 || cli_alloc_find(&c, a->pos[0], stderr, &alloc))
		return 1;
	if (cli_wants_format(&c)) {
		if (cli_get_value(&c, &all, &e, "/v1/allocation/%s/checks", alloc->id) < 0)
			return cli_fail("Error querying allocation checks", &e);
		cli_format_value(&c, all, &code);
		return code;
	}
	if (read_services(&c, alloc, &services, &e) < 0)
		return cli_fail("Error querying allocation checks", &e);
	printf("Status of %u Service Checks\n", count_checks(&services));
	OBJS_EACH(&services, const struct service_registration, s)
		OBJS_EACH(&s->checks, const struct check_result, r)
		{
			putchar('\n');
			put_check(&c, r);
		}
	return 0;
}

static const struct cmd_flag flags[] = {
    {"verbose", CMD_BOOL, NULL, "Times as times."},
    {NULL, 0, NULL, NULL},
};

const struct cmd cmds_alloc_checks[] = {
    {
        .words = "alloc checks",
        .usage = "[options] <allocation>",
        .synopsis = "Show the checks of an allocation's services with their output",
        .help = "Shows each check of the services that the allocation has in Consul: what Consul says of it, since when,\n"
                "and its output as a whole.\n",
        .flags = flags,
        .min_pos = 1,
        .max_pos = 1,
        .bits = CMD_CLIENT | CMD_JSON,
        .run = run_checks,
    },
    {.words = NULL},
};
