/* cmd_consul: drover and Consul: does there stand what should, may our token do what it must. */
#include "daemon/cli_show.h"
#include "daemon/consul_rights.h"

enum { CODE_CLEAN, CODE_DIFFERENT, CODE_UNKNOWN };

/* ---- audit ---- */

static const char *where(struct cli *c, const struct audit_difference *d)
{
	if (str_empty(d->node_name))
		return d->consul_node;
	if (str_empty(d->consul_node) || str_eq(d->node_name, d->consul_node))
		return d->node_name;
	return arena_printf(c->arena, "%s (%s)", d->node_name, d->consul_node);
}

static const char *what(struct cli *c, const struct audit_difference *d)
{
	if (!str_eq(d->kind, "differs"))
		return d->reason;
	if (str_empty(d->want) && str_empty(d->have))
		return d->field;
	return arena_printf(c->arena, "%s: wanted \"%s\", is \"%s\"", d->field, d->want, d->have);
}

static void put_differences(struct cli *c, const struct audit_report *r)
{
	bool verbose = arg_bool(c->args, "verbose");
	struct table t = table_new(c->arena, "-");

	table_row(&t, verbose ? "Kind|Service|Allocation|Node|What|ID" : "Kind|Service|Allocation|Node|What");
	OBJS_EACH(&r->differences, const struct audit_difference, d)
	{
		table_cell(&t, "%s", d->kind);
		table_cell(&t, "%s", d->service);
		table_cell(&t, "%s", str_empty(d->alloc_id) ? "" : short_id(c, d->alloc_id));
		table_cell(&t, "%s", where(c, d));
		table_cell(&t, "%s", what(c, d));
		if (verbose)
			table_cell(&t, "%s", d->service_id);
		table_end_row(&t);
	}
	table_print(&t, stdout);
	if (r->omitted)
		printf("... and %lld more\n", (long long)r->omitted);
}

static int run_audit(struct cmd_args *a)
{
	cleanup_err struct err e = ERR_INIT;
	struct audit_report r = {0};
	struct cli c;
	int code;

	if (cli_open(&c, a) < 0)
		return CODE_UNKNOWN;
	if (cli_get(&c, &type_audit_report, &r, &e, "/v1/operator/consul/audit") < 0) {
		cli_fail("Error auditing Consul", &e);
		return CODE_UNKNOWN;
	}
	if (cli_format(&c, &type_audit_report, &r, &code))
		return code ? CODE_UNKNOWN : r.differences.n ? CODE_DIFFERENT : CODE_CLEAN;
	if (r.differences.n)
		put_differences(&c, &r);
	OBJS_EACH(&r.not_judged, const struct audit_note, n)
		printf("Not judged: %s%s%s\n", n->node_name, str_empty(n->node_name) ? "" : ": ", n->reason);
	if (r.moving)
		printf("Not judged: %lld allocations that have just changed\n", (long long)r.moving);
	printf("%lld entries should stand in Consul; %lld differences\n", (long long)r.judged,
	    (long long)r.differences.n + (long long)r.omitted);
	return r.differences.n ? CODE_DIFFERENT : CODE_CLEAN;
}

/* ---- preflight ---- */

struct preflight {
	const struct cmd_args *args;
	struct arena *arena;
	struct config *config;
	struct consul *consul;
	struct consul_channel *channel;
};

static int read_config(struct preflight *p, struct err *e)
{
	const struct strs *files = arg_list(p->args, "config");

	for (uint32_t i = 0; i < files->n; i++)
		if (config_read(p->config, files->v[i], e) < 0)
			return e->code;
	return 0;
}

/* Of -role, else of the configuration, else both. 0: the word is none. */
static unsigned roles_of(const struct preflight *p)
{
	const char *word = arg_str(p->args, "role", "");
	const struct config *c = p->config;
	unsigned configured = (c->server.enabled ? CONSUL_OF_SERVER : 0u) | (c->client.enabled ? CONSUL_OF_CLIENT : 0u);

	if (str_eq(word, "server"))
		return CONSUL_OF_SERVER;
	if (str_eq(word, "client"))
		return CONSUL_OF_CLIENT;
	if (!str_empty(word) && !str_eq(word, "both"))
		return 0;
	return str_empty(word) && configured ? configured : CONSUL_OF_SERVER | CONSUL_OF_CLIENT;
}

static int ask(struct preflight *p, const struct consul_op *op, const void *object, struct consul_answer *out)
{
	return consul_channel_call(p->channel, op, &(struct consul_args){.object = object}, out);
}

/* Whether Consul answers and has a leader. */
static bool check_consul(struct preflight *p)
{
	struct consul_answer leader cleanup_consul_answer = {0};
	struct consul_answer self cleanup_consul_answer = {0};
	const struct consul_string *l;

	if (ask(p, &consul_status_leader, NULL, &leader) < 0) {
		fprintf(stderr, "Consul does not answer: %s\n", err_str(&leader.err));
		return false;
	}
	l = CONSUL_OBJECT(&leader, consul_string);
	if (!l || str_empty(l->items)) {
		fprintf(stderr, "Consul %s has no leader\n", consul_address(p->consul));
		return false;
	}
	printf("Consul %s answers; its leader is %s\n", consul_address(p->consul), l->items);
	if (ask(p, &consul_agent_self, NULL, &self) == 0) {
		const struct consul_agent_config *c = CONSUL_OBJECT(&self, consul_agent_self)->config;

		printf("It is node %s of datacenter %s, version %s\n", c->node_name, c->datacenter, c->version);
	}
	return true;
}

enum acl { ACL_ON, ACL_OFF, ACL_UNKNOWN };

/* The token, as Consul knows it. */
static enum acl check_token(struct preflight *p)
{
	struct consul_answer answer cleanup_consul_answer = {0};
	const struct consul_acl_token *t;

	if (ask(p, &consul_acl_token_self, NULL, &answer) < 0) {
		if (strstr(err_str(&answer.err), "ACL support disabled")) {
			puts("Access control is off in Consul: everything is allowed");
			return ACL_OFF;
		}
		fprintf(stderr, "The token is not known to Consul: %s\n", err_str(&answer.err));
		return ACL_UNKNOWN;
	}
	t = CONSUL_OBJECT(&answer, consul_acl_token);
	printf("The token is %s%s%s\n", t->accessor_id, str_empty(t->description) ? "" : ": ", str_or(t->description, ""));
	return ACL_ON;
}

/* Prints what is allowed; how many rights are missing, negative when Consul does not tell. */
static int check_rights(struct preflight *p, const struct objs *rights)
{
	struct consul_answer answer cleanup_consul_answer = {0};
	const struct consul_acl_questions *said;
	struct table t = table_new(p->arena, "");
	int missing = 0;

	if (ask(p, &consul_acl_authorize, consul_rights_questions(rights, p->arena), &answer) < 0) {
		fprintf(stderr, "Consul does not tell the rights of the token: %s\n", err_str(&answer.err));
		return -1;
	}
	said = CONSUL_OBJECT(&answer, consul_acl_questions);
	table_row(&t, "Right|Access|Allowed|Needed");
	OBJS_EACH(rights, const struct consul_right, r)
	{
		bool allowed = r_i < said->items.n && ((const struct consul_acl_question *)said->items.v[r_i])->allow;

		missing += !allowed;
		table_cell(&t, "%s%s \"%s\"", r->resource, r->prefix ? "_prefix" : "", r->segment);
		table_cell(&t, "%s", r->access);
		table_cell(&t, "%s", allowed ? "yes" : "NO");
		table_cell(&t, "%s", r->why);
		table_end_row(&t);
	}
	putchar('\n');
	table_print(&t, stdout);
	return missing;
}

static void print_policies(struct preflight *p, unsigned roles, bool bare)
{
	static const struct {
		unsigned role;
		const char *name;
	} names[] = {{CONSUL_OF_SERVER, "servers"}, {CONSUL_OF_CLIENT, "clients"}};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		cleanup_buf struct buf b = BUF_INIT;
		struct objs rights = {0};

		if (!(roles & names[i].role))
			continue;
		consul_rights(p->config, names[i].role, p->arena, &rights);
		consul_rights_policy(&rights, &b);
		if (!bare)
			printf("\nThe smallest policy for %s:\n\n", names[i].name);
		fputs(b.data, stdout);
	}
}

static int judge(struct preflight *p, unsigned roles)
{
	struct objs rights = {0};
	int missing = 0;

	if (!check_consul(p))
		return CODE_UNKNOWN;
	consul_rights(p->config, roles, p->arena, &rights);
	switch (check_token(p)) {
	case ACL_OFF:
		break;
	case ACL_UNKNOWN:
		return CODE_UNKNOWN;
	case ACL_ON:
		missing = check_rights(p, &rights);
		break;
	}
	print_policies(p, roles, false);
	if (missing > 0)
		fprintf(stderr, "\n%d rights are missing\n", missing);
	return missing < 0 ? CODE_UNKNOWN : missing ? CODE_DIFFERENT : CODE_CLEAN;
}

static int preflight(struct preflight *p)
{
	cleanup_err struct err e = ERR_INIT;
	struct consul_config cc;
	unsigned roles;
	int code;

	if (read_config(p, &e) < 0) {
		cli_fail("Error reading configuration", &e);
		return CODE_UNKNOWN;
	}
	roles = roles_of(p);
	if (!roles)
		return cmd_misused(p->args->cmd, "-role is server, client or both");
	if (arg_bool(p->args, "policy")) {
		print_policies(p, roles, true);
		return CODE_CLEAN;
	}
	config_consul(p->config, p->arena, &cc);
	if (consul_new(NULL, &cc, &p->consul, &e) < 0) {
		cli_fail("Error in the consul block", &e);
		return CODE_UNKNOWN;
	}
	p->channel = consul_channel_new(p->consul);
	code = judge(p, roles);
	consul_channel_free(p->channel);
	consul_free(p->consul);
	return code;
}

static int run_preflight(struct cmd_args *a)
{
	struct preflight p = {.args = a, .arena = a->arena, .config = config_new()};
	int code = preflight(&p);

	config_free(p.config);
	return code;
}

static const struct cmd_flag audit_flags[] = {
    {"verbose", CMD_BOOL, NULL, "Whole ids, and the id of each entry in Consul."},
    {NULL, 0, NULL, NULL},
};
static const struct cmd_flag preflight_flags[] = {
    {"config", CMD_LIST, "<path>", "Configuration file or folder of the agent, as for `drover agent`. May be given several times."},
    {"role", CMD_STR, "<role>", "server, client or both; when left out, the roles of the configuration, or both."},
    {"policy", CMD_BOOL, NULL, "Print the policy and nothing else, without asking Consul."},
    {NULL, 0, NULL, NULL},
};

const struct cmd cmds_consul[] = {
    {
        .words = "consul audit",
        .usage = "[options]",
        .synopsis = "Compare what stands in Consul with what should",
        .help = "Works out from the state of the servers what should stand in Consul: the services of all allocations that\n"
                "run, with their checks, and the agents themselves. Compares that with Consul's catalog, and lists what is\n"
                "missing, what differs and in which field, and what stands there and should not. Entries of others are not\n"
                "looked at. Nodes that cannot be judged, because they are down or have no Consul, are named.\n"
                "\n"
                "The exit code is 0 when there is no difference, 1 when there is one, 2 when it cannot be told.\n",
        .flags = audit_flags,
        .max_pos = 0,
        .bits = CMD_CLIENT | CMD_JSON,
        .misuse = CODE_UNKNOWN,
        .run = run_audit,
    },
    {
        .words = "consul preflight",
        .usage = "[options]",
        .synopsis = "Check that Consul answers and that the token has the rights it needs",
        .help = "Asks the Consul that the configuration names whether it works, who the token is, and whether it may do what\n"
                "drover needs, right by right; then prints the smallest policy that suffices for each role. No agent is\n"
                "needed: it is meant to be run before one is started. Without a configuration, defaults and the variables\n"
                "of Consul's own tools (CONSUL_HTTP_ADDR, CONSUL_HTTP_TOKEN, ...) count.\n"
                "\n"
                "      $ drover consul preflight -config /etc/drover\n"
                "      $ drover consul preflight -role client -policy | consul acl policy create -name drover-client -rules -\n"
                "\n"
                "The exit code is 0 when all is well, 1 when a right is missing, 2 when Consul does not answer, has no leader\n"
                "or does not know the token.\n",
        .flags = preflight_flags,
        .max_pos = 0,
        .misuse = CODE_UNKNOWN,
        .run = run_preflight,
    },
    {.words = NULL},
};
