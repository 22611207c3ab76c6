/*
 * cmd_docs: the tables of commands, options and routes as pages for people and as lists for scripts: `drover docs PAGE`.
 * docs/, the man pages and the completion are made from it; scripts/check-docs compares.
 */
#include "daemon/cmd.h"
#include "daemon/config_options.h"
#include "daemon/httpd.h"

/* ---- the tables ---- */

/* Calls fn for the flags of the command, its own first. */
static void each_flag(const struct cmd *c, void (*fn)(FILE *, const struct cmd_flag *), FILE *out)
{
	const struct cmd_flag *lists[] = {
	    c->flags,
	    c->bits & CMD_JSON ? cmd_json_flags : NULL,
	    c->bits & CMD_CLIENT ? cmd_client_flags : NULL,
	};

	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		for (const struct cmd_flag *f = lists[i]; f && f->name; f++)
			fn(out, f);
}

static void each_command(void (*fn)(FILE *, const struct cmd *), FILE *out)
{
	for (const struct cmd *const *t = cmd_tables; *t; t++)
		for (const struct cmd *c = *t; c->words; c++)
			if (!(c->bits & CMD_HIDDEN))
				fn(out, c);
}

static void each_route(void (*fn)(FILE *, const struct route *), FILE *out)
{
	for (const struct route *const *t = route_tables; *t; t++)
		for (const struct route *r = *t; r->pattern; r++)
			fn(out, r);
}

/* The aliases of a command, each with `before` and `after` around it. */
static void put_aliases(FILE *out, const struct cmd *c, const char *before, const char *after)
{
	for (const char *p = c->aliases; p && *p; p += strcspn(p, ",") + (strchr(p, ',') != NULL))
		fprintf(out, "%s%.*s%s", before, (int)strcspn(p, ","), p, after);
}

static const char *methods(const struct route *r)
{
	static char text[32];

	snprintf(text, sizeof(text), "%s%s%s", r->get ? ", GET" : "",
	    r->put ? r->bits & ROUTE_PUT_ONLY ? ", PUT" : ", PUT, POST" : "", r->del ? ", DELETE" : "");
	return *text ? text + 2 : text;
}

/* ---- lists: one thing a line, fields between tabs ---- */

static void list_flag(FILE *out, const struct cmd_flag *f)
{
	fprintf(out, " -%s%s", f->name, f->arg ? "=" : "");
}

static void list_command(FILE *out, const struct cmd *c)
{
	fprintf(out, "%s\t", c->words);
	put_aliases(out, c, "", ",");
	fputc('\t', out);
	each_flag(c, list_flag, out);
	fputc('\n', out);
}

static void list_commands(FILE *out)
{
	each_command(list_command, out);
}

static void list_options(FILE *out)
{
	cleanup_buf struct buf b = BUF_INIT;

	config_list(&b);
	fputs(b.data ? b.data : "", out);
}

static void list_route(FILE *out, const struct route *r)
{
	fprintf(out, "%s\t%s\t%s\n", methods(r), r->pattern, r->help);
}

static void list_routes(FILE *out)
{
	each_route(list_route, out);
}

/* ---- Markdown ---- */

/* In a table: one line, no bars. `<` would begin a tag. */
static void put_cell(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '|')
			fputs("\\|", out);
		else if (*text == '<')
			fputs("&lt;", out);
		else
			fputc(*text == '\n' ? ' ' : *text, out);
	}
}

static void md_flag(FILE *out, const struct cmd_flag *f)
{
	fprintf(out, "| `-%s%s%s` | ", f->name, f->arg ? "=" : "", f->arg ? f->arg : "");
	put_cell(out, f->help);
	fputs(" |\n", out);
}

static void md_flags(FILE *out, const struct cmd_flag *flags)
{
	fputs("\n| flag | |\n|---|---|\n", out);
	for (const struct cmd_flag *f = flags; f->name; f++)
		md_flag(out, f);
}

static void md_command(FILE *out, const struct cmd *c)
{
	fprintf(out, "\n## drover %s\n\n`drover %s%s%s`", c->words, c->words, *c->usage ? " " : "", c->usage);
	put_aliases(out, c, ", also spelt `drover ", "`");
	fprintf(out, "\n\n%s", c->help);
	if (c->bits & (CMD_CLIENT | CMD_JSON))
		fprintf(out, "\nTakes the %s%s%s.\n", c->bits & CMD_CLIENT ? "[general flags](#general-flags)" : "",
		    c->bits & CMD_CLIENT && c->bits & CMD_JSON ? " and the " : "",
		    c->bits & CMD_JSON ? "[format flags](#format-flags)" : "");
	if (c->flags && c->flags->name)
		md_flags(out, c->flags);
}

static void md_commands(FILE *out)
{
	fputs("# Commands\n\n"
	      "Made from the command table by `make docs`; `drover <command> -h` prints the same. Flags stand before\n"
	      "arguments and are written `-flag value`, `-flag=value` or `--flag=value`.\n\n"
	      "## General flags\n", out);
	md_flags(out, cmd_client_flags);
	fputs("\n## Format flags\n", out);
	md_flags(out, cmd_json_flags);
	each_command(md_command, out);
}

static void md_configuration(FILE *out)
{
	fputs("# Configuration\n\n"
	      "Made from the option table by `make docs`. `etc/drover.conf` shows each option in its place. Options of a\n"
	      "block are written with a dot here: `client.meta` is `client { meta { } }`.\n\n"
	      "| option | type | default | |\n|---|---|---|---|\n", out);
	for (size_t i = 0; i < config_n_options; i++) {
		const struct option *o = &config_options[i];

		fprintf(out, "| `%s%s%s` | %s | %s%s%s | ", o->section, *o->section ? "." : "", o->name,
		    option_type_name(o->type), o->unset && *o->unset ? "`" : "", o->unset ? o->unset : "",
		    o->unset && *o->unset ? "`" : "");
		put_cell(out, o->help);
		fputs(" |\n", out);
	}
}

static void md_route(FILE *out, const struct route *r)
{
	fprintf(out, "| %s | `%s` | %s | ", methods(r), r->pattern, r->bits & ROUTE_BLOCKING ? "yes" : "");
	put_cell(out, r->help);
	fputs(" |\n", out);
}

static void md_http_api(FILE *out)
{
	fputs("# HTTP API\n\n"
	      "Made from the route table by `make docs`. A `:name` stands for one segment of the path, `:id*` for a job's\n"
	      "id, which may hold slashes. Routes that block understand `index` and `wait`: they answer when what they\n"
	      "show is newer than that index.\n\n"
	      "| methods | path | blocks | |\n|---|---|---|---|\n", out);
	each_route(md_route, out);
}

/* ---- the sample configuration ---- */

/* What is said above a block. A block that means something by being there is commented out. */
static const struct sample_block {
	const char *section, *head, *note;
	bool off;
} sample_blocks[] = {
    {"consul", "consul", "Registration and discovery through Consul. Without this block nothing is said to Consul.", true},
    {"plugin", "plugin \"raw_exec\"",
	"Drivers are switched on one by one; raw_exec runs tasks without isolation, as the user of the agent.", false},
};

static const struct sample_block *sample_block(const char *section)
{
	for (size_t i = 0; i < ARRAY_LEN(sample_blocks); i++)
		if (str_starts(section, sample_blocks[i].section))
			return &sample_blocks[i];
	return NULL;
}

static void sample_indent(FILE *out, const struct sample_block *b, int depth)
{
	if (b && b->off)
		fputc('#', out);
	while (depth--)
		fputc('\t', out);
}

/* Number of first parts that two dotted names share, "" having none; *n parts there are in b. */
static int shared_parts(const char *a, const char *b, int *n)
{
	int shared = 0;
	bool same = true;

	for (*n = 0; *b; ++*n) {
		size_t la = strcspn(a, "."), lb = strcspn(b, ".");

		same = same && la == lb && strncmp(a, b, la) == 0;
		shared += same;
		a += la + (a[la] == '.');
		b += lb + (b[lb] == '.');
	}
	return shared;
}

/* Closes the blocks of one section and opens those of another, as far as they differ. */
static void sample_move(FILE *out, const char *from, const char *to)
{
	int n_from, n_to, shared = shared_parts(to, from, &n_from);

	for (int depth = n_from; depth-- > shared;) {
		sample_indent(out, sample_block(from), depth);
		fputs("}\n", out);
	}
	shared_parts(from, to, &n_to);
	for (int depth = 0; depth < n_to; depth++) {
		size_t n = strcspn(to, ".");

		if (depth >= shared) {
			const struct sample_block *b = sample_block(to);
			bool first = b && depth == 0;

			fputs(depth == shared ? "\n" : "", out);
			if (first)
				fprintf(out, "# %s\n", b->note);
			sample_indent(out, b, depth);
			fprintf(out, "%.*s {\n", first ? (int)strlen(b->head) : (int)n, first ? b->head : to);
		}
		to += n + (to[n] == '.');
	}
}

static void sample_option(FILE *out, const struct option *o)
{
	const struct sample_block *b = sample_block(o->section);
	const char *value = o->unset ? o->unset : o->example ? o->example : "";
	bool bare = o->type == OPT_BOOL || o->type == OPT_INT || o->type == OPT_INT32 || o->type == OPT_DBL;
	int depth = *o->section != 0;

	for (const char *p = o->section; (p = strchr(p, '.')); p++)
		depth++;
	sample_indent(out, b, depth);
	fprintf(out, "# %s\n", o->help);
	sample_indent(out, b, depth);
	if (str_eq(o->name, "*"))
		fprintf(out, "#%s\n", value);
	else if (o->type == OPT_LIST)
		fprintf(out, "#%s = {\"%s\"}\n", o->name, value);
	else
		fprintf(out, bare || o->type == OPT_MAP ? "#%s = %s\n" : "#%s = \"%s\"\n", o->name, value);
}

static void sample_configuration(FILE *out)
{
	const char *section = "";

	fputs("# drover agent configuration: every option with its default, commented out. Read by `drover agent -config FILE|DIR`;\n"
	      "# in a folder all *.conf files are read in lexical order, later ones win, and command-line flags win over files.\n"
	      "# ${NAME} in double quotes is taken from the environment. Lists are written {\"a\", \"b\"}.\n"
	      "# Made from the option table by `make docs`.\n\n", out);
	for (size_t i = 0; i < config_n_options; i++) {
		sample_move(out, section, config_options[i].section);
		section = config_options[i].section;
		sample_option(out, &config_options[i]);
	}
	sample_move(out, section, "");
}

/* ---- man pages ---- */

/* Text for roff: backslashes and leading dots are its own. Lines that are indented are shown as they are. */
static void put_roff(FILE *out, const char *text)
{
	bool example = false;

	while (*text) {
		int n = (int)strcspn(text, "\n");

		if ((*text == ' ') != example && n) {
			example = !example;
			fputs(example ? ".nf\n" : ".fi\n", out);
		}
		if (!n)
			fputs(".sp\n", out);
		else if (*text == '.' || *text == '\'')
			fputs("\\&", out);
		for (int i = 0; i < n; i++)
			fputs(text[i] == '\\' ? "\\e" : text[i] == '-' ? "\\-" : (char[]){text[i], 0}, out);
		if (n)
			fputc('\n', out);
		text += n + (text[n] == '\n');
	}
	if (example)
		fputs(".fi\n", out);
}

static void roff_flag(FILE *out, const struct cmd_flag *f)
{
	fprintf(out, ".TP\n.B \\-%s%s%s\n", f->name, f->arg ? "=" : "", f->arg ? f->arg : "");
	put_roff(out, f->help);
}

static void roff_command(FILE *out, const struct cmd *c)
{
	fprintf(out, ".SS drover %s %s\n", c->words, c->usage);
	put_aliases(out, c, "Also spelt\n.B drover ", "\n.br\n");
	put_roff(out, c->help);
	for (const struct cmd_flag *f = c->flags; f && f->name; f++)
		roff_flag(out, f);
}

static void man_commands(FILE *out)
{
	fputs(".TH DROVER 1 \"\" \"drover " DROVER_VERSION "\"\n"
	      ".SH NAME\ndrover \\- job scheduler for fleets of Linux machines\n"
	      ".SH SYNOPSIS\n.B drover\n.I command\n[flags] [arguments]\n"
	      ".SH DESCRIPTION\nServers decide where work runs, clients run it; both are this executable, and so is the\n"
	      "command line that talks to them. Flags stand before arguments.\n"
	      ".SH GENERAL FLAGS\nOf commands that talk to an agent.\n", out);
	for (const struct cmd_flag *f = cmd_client_flags; f->name; f++)
		roff_flag(out, f);
	fputs(".SH FORMAT FLAGS\nOf commands that print what they were told.\n", out);
	for (const struct cmd_flag *f = cmd_json_flags; f->name; f++)
		roff_flag(out, f);
	fputs(".SH COMMANDS\n", out);
	each_command(roff_command, out);
	fputs(".SH SEE ALSO\n.BR drover.conf (5)\n", out);
}

static void man_configuration(FILE *out)
{
	fputs(".TH DROVER.CONF 5 \"\" \"drover " DROVER_VERSION "\"\n"
	      ".SH NAME\ndrover.conf \\- configuration of the drover agent\n"
	      ".SH DESCRIPTION\nRead by\n.BR \"drover agent \\-config\" .\n"
	      "Options of a block are written with a dot here:\n.B client.meta\nis\n.BR \"client { meta { } }\" .\n"
	      ".SH OPTIONS\n", out);
	for (size_t i = 0; i < config_n_options; i++) {
		const struct option *o = &config_options[i];

		fprintf(out, ".TP\n.B %s%s%s\n", o->section, *o->section ? "." : "", o->name);
		put_roff(out, o->help);
		fprintf(out, "(%s%s%s)\n", option_type_name(o->type), o->unset && *o->unset ? ", default " : "",
		    o->unset ? o->unset : "");
	}
	fputs(".SH SEE ALSO\n.BR drover (1)\n", out);
}

/* ---- the command ---- */

static const struct {
	const char *name;
	void (*print)(FILE *out);
} pages[] = {
    {"commands", list_commands},
    {"options", list_options},
    {"routes", list_routes},
    {"commands.md", md_commands},
    {"configuration.md", md_configuration},
    {"http-api.md", md_http_api},
    {"drover.conf", sample_configuration},
    {"drover.1", man_commands},
    {"drover.conf.5", man_configuration},
};

static int run_docs(struct cmd_args *a)
{
	for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
		if (a->n_pos && str_eq(a->pos[0], pages[i].name)) {
			pages[i].print(stdout);
			return fflush(stdout) ? 1 : 0;
		}
		if (!a->n_pos)
			puts(pages[i].name);
	}
	return a->n_pos ? cmd_misused(a->cmd, "There is no page \"%s\"; `drover docs` lists them", a->pos[0]) : 0;
}

const struct cmd cmds_docs[] = {
    {
        .words = "docs",
        .usage = "[page]",
        .synopsis = "Print the tables of commands, options and routes",
        .help = "Prints a page made from the tables; without an argument the names of the pages.\n",
        .max_pos = 1,
        .bits = CMD_HIDDEN,
        .run = run_docs,
    },
    {.words = NULL},
};
