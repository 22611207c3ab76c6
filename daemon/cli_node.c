/* cli_node: finding nodes and listing them. */
#include "daemon/cli_node.h"

#include <pwd.h>
#include <unistd.h>

const char *cli_node_status(const char *status)
{
	return str_eq(status, "ready") ? "active" : status ? status : "";
}

const char *cli_node_self(struct cli *c)
{
	cleanup_err struct err e = ERR_INIT;
	struct value *self;
	const char *id;

	if (cli_get_value(c, &self, &e, "/v1/agent/self") < 0) {
		cli_fail("Error querying agent info: failed querying self endpoint", &e);
		return NULL;
	}
	id = show_text(self, "stats.client.node_id");
	if (*id)
		return id;
	fprintf(stderr, "Error querying agent info: the agent at %s is no client\n", c->address);
	return NULL;
}

const char *cli_who(struct cli *c)
{
	const struct passwd *pw = getpwuid(getuid());
	char host[256] = "";

	gethostname(host, sizeof(host) - 1);
	return arena_printf(c->arena, "%s@%s", pw ? pw->pw_name : "unknown", host);
}

static int64_t node_index(const void *item)
{
	return ((const struct node_stub *)item)->create_index;
}

const char *cli_node_find(struct cli *c, const char *text, const char *what, const char *how)
{
	const char *prefix = cli_id_prefix(c, text);
	cleanup_err struct err e = ERR_INIT;
	struct objs stubs;

	if (!prefix)
		return NULL;
	if (cli_get_list(c, &type_node_stub, &stubs, &e, "/v1/nodes?prefix=%s", cli_escape(c, prefix)) < 0) {
		cli_fail(what, &e);
		return NULL;
	}
	if (stubs.n == 1)
		return ((const struct node_stub *)stubs.v[0])->id;
	if (!stubs.n) {
		fprintf(stderr, "No node(s) with %s \"%s\" found\n", how, prefix);
		return NULL;
	}
	show_newest_first(&stubs, node_index);
	fputs("Prefix matched multiple nodes\n\n", stderr);
	cli_node_table(c, &stubs, NULL, stderr);
	return NULL;
}

void cli_node_table(struct cli *c, const struct objs *stubs, const struct intmap *running, FILE *out)
{
	struct table t = table_new(c->arena, "<none>");
	bool verbose = arg_bool(c->args, "verbose"), os = arg_bool(c->args, "os");

	table_row(&t, arena_printf(c->arena, "ID|DC|Name|Class%s%s|Drain|Eligibility|Status%s", os ? "|OS" : "",
	    verbose ? "|Address|Version" : "", running ? "|Running Allocs" : ""));
	OBJS_EACH(stubs, const struct node_stub, n) {
		table_cell(&t, "%s", short_id(c, n->id));
		table_cell(&t, "%s", n->datacenter ? n->datacenter : "");
		table_cell(&t, "%s", n->name ? n->name : "");
		table_cell(&t, "%s", n->node_class ? n->node_class : "");
		if (os)
			table_cell(&t, "%s", strmap_get(&n->attributes, "os.name") ? strmap_get(&n->attributes, "os.name") : "");
		if (verbose) {
			table_cell(&t, "%s", n->address ? n->address : "");
			table_cell(&t, "%s", n->version ? n->version : "");
		}
		table_cell(&t, "%s", n->drain ? "true" : "false");
		table_cell(&t, "%s", n->scheduling_eligibility ? n->scheduling_eligibility : "");
		table_cell(&t, "%s", cli_node_status(n->status));
		if (running)
			table_cell(&t, "%lld", (long long)intmap_get(running, n->id));
		table_end_row(&t);
	}
	table_print(&t, out);
}
