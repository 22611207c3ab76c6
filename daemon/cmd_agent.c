/*
 * cmd_agent: `drover agent`: configuration files, then flags, then daemon_run(). A flag is the name of a configuration
 * option and nothing else, so that both are checked by the same table.
 */
#include "daemon/cmd.h"
#include "daemon/config.h"
#include "daemon/daemon.h"

static const struct cmd_flag flags[] = {
    {"config", CMD_LIST, "<path>", "Configuration file, or folder whose *.conf files are read in lexical order. May be given several times."},
    {"dev", CMD_BOOL, NULL, "Server and client in one process on the loopback, to try things out. Without -data-dir nothing is kept: when\n"
                          "the agent stops, so do its tasks."},
    {"bind", CMD_STR, "<address>", "Address to listen on."},
    {"http-port", CMD_STR, "<port>", "Port of the HTTP API; 0 takes any free one."},
    {"data-dir", CMD_STR, "<path>", "Folder for everything that must survive a restart."},
    {"region", CMD_STR, "<name>", "Region of this agent."},
    {"dc", CMD_STR, "<name>", "Datacenter of this agent."},
    {"node", CMD_STR, "<name>", "Name of this agent."},
    {"log-level", CMD_STR, "<level>", "TRACE, DEBUG, INFO, WARN or ERROR."},
    {"log-json", CMD_BOOL, NULL, "Log one JSON object a line."},
    {"server", CMD_BOOL, NULL, "Take the server role."},
    {"bootstrap-expect", CMD_STR, "<n>", "Number of servers."},
    {"client", CMD_BOOL, NULL, "Take the client role."},
    {"servers", CMD_LIST, "<host:port>", "Servers that the client talks to, separated by commas. May be given several times."},
    {"state-dir", CMD_STR, "<path>", "Folder for what the client remembers."},
    {"alloc-dir", CMD_STR, "<path>", "Folder for allocations."},
    {"node-class", CMD_STR, "<class>", "Class of this node."},
    {"node-pool", CMD_STR, "<pool>", "Pool of this node."},
    {"meta", CMD_LIST, "<key=value>", "Metadata of this node. May be given several times."},
    {"network-interface", CMD_STR, "<name>", "Interface to fingerprint."},
    {NULL, 0, NULL, NULL},
};

/* Flags that set one option each. */
static const struct {
	const char *flag, *option;
} same[] = {
    {"bind", "bind_addr"},
    {"http-port", "ports.http"},
    {"data-dir", "data_dir"},
    {"region", "region"},
    {"dc", "datacenter"},
    {"node", "name"},
    {"log-level", "log_level"},
    {"bootstrap-expect", "server.bootstrap_expect"},
    {"state-dir", "client.state_dir"},
    {"alloc-dir", "client.alloc_dir"},
    {"node-class", "client.node_class"},
    {"node-pool", "client.node_pool"},
    {"network-interface", "client.network_interface"},
};
static const struct {
	const char *flag, *option;
} switches[] = {
    {"server", "server.enabled"},
    {"client", "client.enabled"},
    {"log-json", "log_json"},
};

static int add_servers(struct config *c, const struct strs *lists, struct err *e)
{
	int rc = 0;

	for (uint32_t i = 0; i < lists->n && rc >= 0; i++) {
		char *list = arena_strdup(c->arena, lists->v[i]), *save = NULL;

		for (char *s = strtok_r(list, ",", &save); s && rc >= 0; s = strtok_r(NULL, ",", &save))
			rc = config_set(c, "client.servers", s, e);
	}
	return rc;
}

static int read_config(const struct cmd_args *a, struct config *c, struct err *e)
{
	const struct strs *files = arg_list(a, "config"), *meta = arg_list(a, "meta");
	int rc = 0;

	for (uint32_t i = 0; i < files->n && rc >= 0; i++)
		if ((rc = config_read(c, files->v[i], e)) < 0)
			err_wrap(e, "Error loading configuration from %s", files->v[i]);
	for (size_t i = 0; i < ARRAY_LEN(same) && rc >= 0; i++)
		if (arg_given(a, same[i].flag) && (rc = config_set(c, same[i].option, arg_str(a, same[i].flag, ""), e)) < 0)
			err_wrap(e, "-%s", same[i].flag);
	for (size_t i = 0; i < ARRAY_LEN(switches) && rc >= 0; i++)
		if (arg_given(a, switches[i].flag))
			rc = config_set(c, switches[i].option, arg_bool(a, switches[i].flag) ? "true" : "false", e);
	if (rc >= 0)
		rc = add_servers(c, arg_list(a, "servers"), e);
	for (uint32_t i = 0; i < meta->n && rc >= 0; i++)
		rc = config_add_meta(c, meta->v[i], e);
	c->dev = arg_bool(a, "dev");
	return rc < 0 ? rc : config_finish(c, e);
}

static int run_agent(struct cmd_args *a)
{
	struct config *c = config_new();
	cleanup_err struct err e = ERR_INIT;
	int code;

	if (read_config(a, c, &e) < 0) {
		fprintf(stderr, "==> %s\n", err_str(&e));
		config_free(c);
		return 1;
	}
	code = daemon_run(c);
	config_free(c);
	return code;
}

const struct cmd cmds_agent[] = {
    {
        .words = "agent",
        .usage = "[options]",
        .synopsis = "Run a server, a client, or both",
        .help = "Starts the agent and runs until a signal ends it. The roles come from the configuration\n"
                "(server {}, client {}), from -server and -client, or from -dev, which takes both. Running\n"
                "tasks are not touched when the agent stops: the next start finds them again.\n",
        .flags = flags,
        .max_pos = 0,
        .run = run_agent,
    },
    {.words = NULL},
};
