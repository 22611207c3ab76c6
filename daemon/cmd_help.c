/* cmd_help: the texts that people read, made from the command table. */
#include "daemon/cmd.h"

const struct cmd_group cmd_groups[] = {
    {"job", "Interact with jobs", "Run, look at, change and stop jobs.\n\n"
                                  "      $ drover job run <path>\n      $ drover job status <name>\n"
                                  "      $ drover job stop <name>\n"},
    {"alloc", "Interact with allocations", "Look at allocations, their tasks, logs and files.\n\n"
                                           "      $ drover alloc status <alloc>\n      $ drover alloc logs <alloc>\n"},
    {"node", "Interact with nodes", "Look at the machines that run work, and say whether they take any.\n\n"
                                    "      $ drover node status\n      $ drover node eligibility -disable <node>\n"},
    {"client", "Look at the client of an agent", "The client role of the agent that is asked.\n\n"
                                                 "      $ drover client servers\n"},
    {"eval", "Interact with evaluations", "An evaluation is one decision of the scheduler about one job.\n\n"
                                          "      $ drover eval status <eval>\n"},
    {"consul", "What drover has in Consul", "Check rights before the start; compare what stands in Consul with what should.\n\n"
                                              "      $ drover consul preflight -config /etc/drover\n      $ drover consul audit\n"},
    {"server", "Interact with servers", "List the servers of the cluster.\n\n      $ drover server members\n"},
    {"operator", "Tools for those who run the cluster", "Look into the servers' own data.\n"},
    {"operator journal", "Look at the journal of a server", "The journal is the truth of a server on disk.\n"},
    {"operator scheduler", "Look at and change how the scheduler works",
        "Settings of the scheduler that can be changed while it runs.\n"},
    {"operator raft", "Look at the servers that share the journal",
        "There is no Raft here; the name is kept because scripts know it.\n"},
    {"config", "Check configuration files", "      $ drover config validate /etc/drover/drover.conf\n"},
    {"system reconcile", "Repair derived data", "Count again what is derived from other data.\n"},
    {"system", "Maintenance of the cluster's state", "Collect garbage.\n\n      $ drover system gc\n"},
    {NULL, NULL, NULL},
};

/* Shown first in the list of all commands. */
static const char *const common[] = {"run", "stop", "status", "why", "alloc", "job", "node", "agent", NULL};

const struct cmd_flag cmd_client_flags[] = {
    {"address", CMD_STR, "<addr>", "Address of an agent: http://host:port, https://host:port or unix://path.\n"
                                   "Overrides DROVER_ADDR and NOMAD_ADDR. Default: http://127.0.0.1:4646"},
    {"region", CMD_STR, "<region>", "Region to ask. Overrides DROVER_REGION and NOMAD_REGION."},
    {"namespace", CMD_STR, "<namespace>", "Namespace to ask, \"*\" for all. Overrides DROVER_NAMESPACE and\n"
                                          "NOMAD_NAMESPACE. Default: default"},
    {"no-color", CMD_BOOL, NULL, "No colours. DROVER_CLI_NO_COLOR and NOMAD_CLI_NO_COLOR do the same."},
    {"force-color", CMD_BOOL, NULL, "Colours also when the output is no terminal."},
    {"ca-cert", CMD_STR, "<path>", "PEM file with the CA that signed the agents' certificates. Overrides NOMAD_CACERT."},
    {"ca-path", CMD_STR, "<path>", "Folder with such files. Overrides NOMAD_CAPATH."},
    {"client-cert", CMD_STR, "<path>", "PEM file with our certificate. Overrides NOMAD_CLIENT_CERT."},
    {"client-key", CMD_STR, "<path>", "PEM file with its key. Overrides NOMAD_CLIENT_KEY."},
    {"tls-server-name", CMD_STR, "<name>", "Name to expect in the agent's certificate. Overrides NOMAD_TLS_SERVER_NAME."},
    {"tls-skip-verify", CMD_BOOL, NULL, "Accept any certificate. NOMAD_SKIP_VERIFY does the same."},
    {"insecure", CMD_BOOL, NULL, "The same as -tls-skip-verify."},
    {"token", CMD_STR, "<secret>", "Secret of a token. Overrides NOMAD_TOKEN; the variable is safer, since others on\n"
                                   "this machine can see arguments."},
    {NULL, 0, NULL, NULL},
};

const struct cmd_flag cmd_json_flags[] = {
    {"json", CMD_BOOL, NULL, "Print JSON."},
    {"t", CMD_STR, "<template>", "Print by a Go template: -t '{{.ID}}'."},
    {NULL, 0, NULL, NULL},
};

bool cmd_is_group(const char *words)
{
	for (const struct cmd_group *g = cmd_groups; g->words; g++)
		if (str_eq(g->words, words))
			return true;
	return false;
}

/* Text with every line indented. */
static void put_indented(FILE *out, const char *text, int indent)
{
	while (*text) {
		int n = (int)strcspn(text, "\n");

		if (n)
			fprintf(out, "%*s%.*s", indent, "", n, text);
		fputc('\n', out);
		text += n + (text[n] == '\n');
	}
}

static void put_flags(FILE *out, const char *title, const struct cmd_flag *flags)
{
	if (!flags || !flags->name)
		return;
	fprintf(out, "\n%s:\n", title);
	for (const struct cmd_flag *f = flags; f->name; f++) {
		fprintf(out, "\n  -%s%s%s\n", f->name, f->arg ? "=" : "", f->arg ? f->arg : "");
		put_indented(out, f->help, 4);
	}
}

void cmd_help_command(const struct cmd *c, FILE *out)
{
	const char *last = strrchr(c->words, ' ');
	cleanup_free char *title = xasprintf("%s Options", last ? last + 1 : c->words);

	title[0] = (char)(title[0] >= 'a' && title[0] <= 'z' ? title[0] - 32 : title[0]);
	fprintf(out, "Usage: drover %s %s\n", c->words, c->usage);
	for (const char *p = c->aliases; p && *p; p += strcspn(p, ",") + (strchr(p, ',') != NULL))
		fprintf(out, "Alias: drover %.*s\n", (int)strcspn(p, ","), p);
	fputc('\n', out);
	put_indented(out, c->help, 2);
	if (c->bits & CMD_CLIENT)
		put_flags(out, "General Options", cmd_client_flags);
	put_flags(out, title, c->flags);
	if (c->bits & CMD_JSON)
		put_flags(out, "Format Options", cmd_json_flags);
}

/* What follows "<group> " in words, when exactly one word does; NULL otherwise. */
static const char *member(const char *words, const char *group)
{
	size_t n = strlen(group);

	if (n) {
		if (strncmp(words, group, n) != 0 || words[n] != ' ')
			return NULL;
		words += n + 1;
	}
	return strchr(words, ' ') ? NULL : words;
}

struct line {
	const char *name, *text;
};
static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct line *)a)->name, ((const struct line *)b)->name);
}

/* Commands and groups directly below the group, sorted. */
static size_t lines_of(const char *group, struct line *out, size_t max)
{
	size_t n = 0;

	for (const struct cmd *const *t = cmd_tables; *t; t++)
		for (const struct cmd *c = *t; c->words; c++) {
			const char *name = member(c->words, group);

			if (name && !(c->bits & CMD_HIDDEN) && n < max)
				out[n++] = (struct line){name, c->synopsis};
			/* At the top, "run" stands for "job run". */
			for (const char *const *w = common; !*group && c->aliases && *w; w++)
				if (str_eq(c->aliases, *w) && n < max)
					out[n++] = (struct line){*w, c->synopsis};
		}
	for (const struct cmd_group *g = cmd_groups; g->words; g++) {
		const char *name = member(g->words, group);

		if (name && n < max)
			out[n++] = (struct line){name, g->synopsis};
	}
	qsort(out, n, sizeof(*out), by_name);
	return n;
}

static bool is_common(const char *name)
{
	for (const char *const *w = common; *w; w++)
		if (str_eq(*w, name))
			return true;
	return false;
}

static void put_lines(FILE *out, const struct line *l, size_t n, int only_common)
{
	int width = 0;

	for (size_t i = 0; i < n; i++)
		if (only_common < 0 || is_common(l[i].name) == (only_common == 1))
			width = MAX(width, (int)strlen(l[i].name));
	for (size_t i = 0; i < n; i++)
		if (only_common < 0 || is_common(l[i].name) == (only_common == 1))
			fprintf(out, "    %-*s    %s\n", width, l[i].name, l[i].text);
}

void cmd_help_group(const char *words, FILE *out)
{
	struct line lines[128];
	size_t n = lines_of(words, lines, ARRAY_LEN(lines));

	if (!*words) {
		fputs("Usage: drover [-version] [-help] <command> [args]\n\nCommon commands:\n", out);
		put_lines(out, lines, n, 1);
		fputs("\nOther commands:\n", out);
		put_lines(out, lines, n, 0);
		return;
	}
	fprintf(out, "Usage: drover %s <subcommand> [options] [args]\n\n", words);
	for (const struct cmd_group *g = cmd_groups; g->words; g++)
		if (str_eq(g->words, words))
			put_indented(out, g->help, 2);
	fputs("\nSubcommands:\n", out);
	put_lines(out, lines, n, -1);
}
