/* cmd_agent_info: one agent about itself: its figures, its log, its health, its configuration files. */
#include <errno.h>
#include <math.h>

#include "base/clock.h"
#include "daemon/cli_follow.h"
#include "daemon/cli_node.h"
#include "daemon/config.h"

/* ---- agent-info ---- */

static int read_self(struct cli *c, struct value **out, struct err *e)
{
	int rc = cli_get_value(c, out, e, "/v1/agent/self");

	return rc < 0 ? err_wrap(e, "failed querying self endpoint") : 0;
}

static int run_info(struct cmd_args *a)
{
	cleanup_err struct err e = ERR_INIT;
	const struct value *stats;
	struct value *self;
	struct cli c;
	int code;

	if (cli_open(&c, a) < 0)
		return 1;
	if (read_self(&c, &self, &e) < 0)
		return cli_fail("Error querying agent info", &e);
	if (cli_format_value(&c, self, &code))
		return code;
	stats = show_at(self, "stats");
	for (uint32_t i = 0; stats && stats->kind == VAL_MAP && i < stats->n; i++) {
		const struct value *group = stats->items[i];

		puts(stats->keys[i]);
		for (uint32_t k = 0; group->kind == VAL_MAP && k < group->n; k++)
			printf("  %s = %s\n", group->keys[k], group->items[k]->kind == VAL_STR ? group->items[k]->s : "");
	}
	return 0;
}

/* ---- check ---- */

/* Whether so many are known; says so when not. */
static bool knows(const char *what, double n, int64_t wanted)
{
	if (n >= (double)wanted)
		return true;
	printf("known %s: %.0f, expected number of %s: %lld\n", what, n, what, (long long)wanted);
	return false;
}

static bool is_client_well(const struct value *self, int64_t min_servers)
{
	const char *servers = show_text(self, "stats.client.known_servers"), *last = show_text(self, "stats.client.last_heartbeat");
	int64_t since = 0, ttl = 0;
	double n = *servers != '\0';

	for (const char *p = servers; *p; p++)
		n += *p == ',';
	if (!knows("servers", n, min_servers))
		return false;
	if (duration_parse(last, &since) == 0 && duration_parse(show_text(self, "stats.client.heartbeat_ttl"), &ttl) == 0 &&
	    since <= ttl)
		return true;
	printf("last heartbeat: %s ago, expected heartbeat ttl: %s\n", last, show_text(self, "stats.client.heartbeat_ttl"));
	return false;
}

/* Exit codes as monitoring plugins have them: 0 well, 2 ill. */
static int run_check(struct cmd_args *a)
{
	cleanup_err struct err e = ERR_INIT;
	struct value *self, *peers;
	struct cli c;

	if (cli_open(&c, a) < 0)
		return 2;
	if (read_self(&c, &self, &e) < 0) {
		printf("unable to query agent info: %s\n", err_str(&e));
		return 2;
	}
	if (str_eq(show_text(self, "stats.nomad.server"), "true")) {
		if (cli_get_value(&c, &peers, &e, "/v1/status/peers") < 0) {
			printf("unable to query the servers: %s\n", err_str(&e));
			return 2;
		}
		if (!knows("peers", peers->kind == VAL_LIST && peers->n ? peers->n - 1 : 0, arg_int(a, "min-peers", 0)))
			return 2;
	}
	if (show_at(self, "stats.client") && !is_client_well(self, arg_int(a, "min-servers", 1)))
		return 2;
	return 0;
}

/* ---- monitor ---- */

static int run_monitor(struct cmd_args *a)
{
	const char *node = arg_str(a, "node-id", ""), *path;
	cleanup_err struct err e = ERR_INIT;
	struct cli c;

	if (cli_open(&c, a) < 0)
		return 1;
	if (*node && !(node = cli_node_find(&c, node, "==> Error querying node", "prefix or id")))
		return 1;
	path = arena_printf(c.arena, "/v1/agent/monitor?log_json=%s&log_level=%s&node_id=%s&server_id=%s",
	    arg_bool(a, "json") ? "true" : "false", cli_escape(&c, arg_str(a, "log-level", "")), node,
	    cli_escape(&c, arg_str(a, "server-id", "")));
	if (cli_follow(&c, &(struct cli_followed){.path = path, .fd = STDOUT_FILENO, .beats = true}, 1, &e) == 0)
		return 0;
	fprintf(stderr, "==> Error starting monitor: %s\n==> For additional help try 'drover monitor -help'\n", err_str(&e));
	return 1;
}

/* ---- config validate ---- */

static int run_validate(struct cmd_args *a)
{
	struct config *c = config_new();
	cleanup_err struct err e = ERR_INIT;
	int rc = 0;

	for (int i = 0; i < a->n_pos && rc >= 0; i++)
		rc = config_read(c, a->pos[i], &e);
	if (rc >= 0)
		rc = config_finish(c, &e);
	config_free(c);
	if (rc < 0) {
		fprintf(stderr, "==> %s\n", err_str(&e));
		return 1;
	}
	puts("Configuration is valid!");
	return 0;
}

static const struct cmd_flag check_flags[] = {
    {"min-servers", CMD_INT, "<n>", "A client must know so many servers. Default: 1"},
    {"min-peers", CMD_INT, "<n>", "A server must have so many others beside it. Default: 0"},
    {NULL, 0, NULL, NULL},
};
static const struct cmd_flag monitor_flags[] = {
    {"log-level", CMD_STR, "<level>", "TRACE, DEBUG, INFO, WARN or ERROR. Default: INFO"},
    {"node-id", CMD_STR, "<node>", "The agent of this node instead of the one that is asked."},
    {"server-id", CMD_STR, "<server>", "This server, by its name in `drover server members`, or \"leader\"."},
    {"json", CMD_BOOL, NULL, "Each line as a JSON object."},
    {NULL, 0, NULL, NULL},
};

const struct cmd cmds_agent_info[] = {
    {
        .words = "agent-info",
        .usage = "[options]",
        .synopsis = "Show figures of the agent",
        .help = "Shows what the agent knows about itself, in groups. -json prints its configuration too; secrets are left out.\n",
        .bits = CMD_CLIENT | CMD_JSON,
        .run = run_info,
    },
    {
        .words = "monitor",
        .usage = "[options]",
        .synopsis = "Follow the log of an agent",
        .help = "Prints what the agent logs from here on, until interrupted. The level is the monitor's own: it may be finer\n"
                "than what the agent writes itself.\n",
        .flags = monitor_flags,
        .bits = CMD_CLIENT,
        .run = run_monitor,
    },
    {
        .words = "check",
        .usage = "[options]",
        .synopsis = "Whether the agent is well",
        .help = "Exits with 0 when the agent answers, knows its servers and heartbeats, and with 2 and a line that says why\n"
                "when not: for monitoring systems.\n",
        .flags = check_flags,
        .bits = CMD_CLIENT | CMD_HIDDEN,
        .run = run_check,
    },
    {
        .words = "config validate",
        .usage = "<path>...",
        .synopsis = "Check configuration files",
        .help = "Reads the files and folders as `drover agent -config` does, says what is wrong with file and line, and starts\n"
                "nothing.\n",
        .min_pos = 1,
        .max_pos = -1,
        .run = run_validate,
    },
    {.words = NULL},
};
