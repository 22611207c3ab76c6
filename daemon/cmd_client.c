/* cmd_client: the client of the agent that is asked: where it hears of servers and whom it asks. */
#include "daemon/cli_show.h"

#include "base/clock.h"

#define SHOWN_SERVERS 3 /* addresses of a source without -verbose */

static const char *joined(struct cli *c, const struct value *list, uint32_t most)
{
	cleanup_buf struct buf b = BUF_INIT;
	uint32_t n = list && list->kind == VAL_LIST ? list->n : 0;

	for (uint32_t i = 0; i < MIN(n, most); i++)
		buf_printf(&b, "%s%s", i ? ", " : "", list->items[i]->kind == VAL_STR ? list->items[i]->s : "");
	if (n > most)
		buf_printf(&b, " and %u more", n - most);
	return arena_strdup(c->arena, b.data ? b.data : "");
}

/* "3m12s ago"; the times are the agent's, and of its clock. */
static const char *ago(struct cli *c, const struct value *v, const char *path)
{
	return list_time(c, (int64_t)show_number(v, path));
}

static const char *result_of(struct cli *c, const struct value *source)
{
	const char *off = show_text(source, "Off"), *error = show_text(source, "Error");
	const char *list = joined(c, show_at(source, "Servers"), arg_bool(c->args, "verbose") ? UINT32_MAX : SHOWN_SERVERS);

	if (*off)
		return arena_printf(c->arena, "off: %s", off);
	if (*error)
		return *list ? arena_printf(c->arena, "%s; before: %s", error, list) : error;
	if (!show_number(source, "LastResult"))
		return "nothing yet";
	return *list ? list : "none";
}

static void put_sources(struct cli *c, const struct value *list)
{
	struct table t = table_new(c->arena, "-");

	table_row(&t, "Source|Address|Last Result|When");
	for (uint32_t i = 0; list && list->kind == VAL_LIST && i < list->n; i++) {
		const struct value *s = list->items[i];

		table_cell(&t, "%s", show_text(s, "Name"));
		table_cell(&t, "%s", show_text(s, "Where"));
		table_cell(&t, "%s", result_of(c, s));
		table_cell(&t, "%s", ago(c, s, "LastResult"));
		table_end_row(&t);
	}
	table_print(&t, stdout);
}

static void put_known(struct cli *c, const struct value *list)
{
	struct table t = table_new(c->arena, "-");

	table_row(&t, "Server|Sources|Last Result|When");
	for (uint32_t i = 0; list && list->kind == VAL_LIST && i < list->n; i++) {
		const struct value *s = list->items[i];
		const char *error = show_text(s, "Error");

		table_cell(&t, "%s", show_text(s, "Address"));
		table_cell(&t, "%s", joined(c, show_at(s, "Sources"), UINT32_MAX));
		table_cell(&t, "%s", *error                           ? error
		           : show_flag(s, "Present")                  ? "answers, in use"
		           : show_number(s, "LastAnswer") != 0 ? "answered" : "not asked");
		table_cell(&t, "%s", ago(c, s, *error ? "LastFailure" : "LastAnswer"));
		table_end_row(&t);
	}
	table_print(&t, stdout);
}

static void put_summary(struct cli *c, const struct value *v)
{
	const char *server = show_text(v, "Server"), *waiting = show_text(v, "WaitingFor");
	struct table t = table_new(c->arena, "<none>");
	char ttl[DURATION_STR];

	kv(&t, "Server", "%s%s", *server ? server : "none answers", show_flag(v, "InProcess") ? " (this agent)" : "");
	if (*waiting)
		kv(&t, "Waiting For", "%s", waiting);
	kv(&t, "Heartbeat TTL", "%s", duration_format((int64_t)show_number(v, "HeartbeatTTL") / MILLI * MILLI, ttl));
	kv(&t, "Last Heartbeat", "%s", show_number(v, "LastHeartbeat") ? ago(c, v, "LastHeartbeat") : "never");
	kv_print(&t, stdout);
}

/* Exits with 1 while no server answers, so that a script can wait for it. */
static int run_servers(struct cmd_args *a)
{
	cleanup_err struct err e = ERR_INIT;
	struct value *v;
	struct cli c;
	int code;

	if (cli_open(&c, a) < 0)
		return 1;
	if (cli_get_value(&c, &v, &e, "/v1/client/servers") < 0)
		return cli_fail("Error querying the client's servers", &e);
	if (cli_format_value(&c, v, &code))
		return code;
	put_summary(&c, v);
	if (!show_flag(v, "InProcess")) {
		putchar('\n');
		put_sources(&c, show_at(v, "Sources"));
		if (arg_bool(a, "verbose")) {
			putchar('\n');
			put_known(&c, show_at(v, "Servers"));
		}
	}
	return *show_text(v, "Server") ? 0 : 1;
}

static const struct cmd_flag servers_flags[] = {
    {"verbose", CMD_BOOL, NULL, "All addresses, times as times, and each known server with what came of asking it."},
    {NULL, 0, NULL, NULL},
};

const struct cmd cmds_client[] = {
    {
        .words = "client servers",
        .usage = "[options]",
        .synopsis = "Show where a client hears of servers",
        .help = "Shows the server that the client of the agent talks to, or what it waits for, and each source of servers with\n"
                "what it asks, what it said last, and when. The exit code is 1 while no server answers.\n",
        .flags = servers_flags,
        .bits = CMD_CLIENT | CMD_JSON,
        .run = run_servers,
    },
    {.words = NULL},
};
