/* cmd_status: `status` of whatever an id names: the search of the API says what it is, the command of that kind shows it. */
#include "daemon/cli_job.h"

/* Contexts of the search, the titles of their matches, and the commands that show one. */
static const struct kind {
	const char *context, *title, *words;
} kinds[] = {
    {"jobs", "Jobs", "job status"},
    {"allocs", "Allocs", "alloc status"},
    {"nodes", "Nodes", "node status"},
    {"evals", "Evals", "eval status"},
    {"deployment", "Deployments", "deployment status"},
};

struct match {
	const struct kind *kind;
	const char *id;
};

/* An exact match wins; else there must be one match at all. False: none, or several (*several). */
static bool choose(const struct hdrmap *matches, const char *id, struct match *out, bool *several)
{
	uint32_t n = 0;

	for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
		const struct strs *ids = hdrmap_get(matches, kinds[k].context);

		for (uint32_t i = 0; ids && i < ids->n; i++) {
			*out = (struct match){&kinds[k], ids->v[i]};
			if (str_eq(ids->v[i], id))
				return true;
			n++;
		}
	}
	*several = n > 1;
	return n == 1;
}

static void list_matches(const struct hdrmap *matches, const char *id)
{
	fprintf(stderr, "Multiple matches found for id \"%s\"\n", id);
	for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
		const struct strs *ids = hdrmap_get(matches, kinds[k].context);

		if (ids && ids->n)
			fprintf(stderr, "\n%s:\n", kinds[k].title);
		for (uint32_t i = 0; ids && i < ids->n; i++)
			fprintf(stderr, "%s%s", ids->v[i], i + 1 < ids->n ? ", " : "\n");
	}
}

/* The command of this kind, with our flags and the whole id. */
static int hand_over(struct cmd_args *a, const struct match *m)
{
	const struct cmd *c = cmd_find(m->kind->words);
	const char *pos[] = {m->id, NULL};
	struct cmd_args args = *a;

	if (!c) {
		fprintf(stderr, "\"%s\" names one of %s, which this version does not show\n", m->id, m->kind->context);
		return 1;
	}
	args.cmd = c;
	args.pos = pos;
	args.n_pos = m->id ? 1 : 0;
	return c->run(&args);
}

/* The sentence is in quotes here, as scripts know it. */
static int search_failed(const struct err *e)
{
	fputs("Error querying search with id: \"", stderr);
	for (const char *s = err_str(e); *s; s++)
		fprintf(stderr, *s == '"' ? "\\\"" : "%c", *s);
	fputs("\"\n", stderr);
	return 1;
}

static int run_status(struct cmd_args *a)
{
	struct search_request r = {0};
	struct search_answer answer = {0};
	struct match m = {.kind = &kinds[0]};
	cleanup_err struct err e = ERR_INIT;
	bool several = false;
	struct cli c;

	if (!a->n_pos)
		return hand_over(a, &m);
	if (cli_open(&c, a) < 0)
		return 1;
	MODEL_SET(search_request, &r, prefix, a->pos[0]);
	MODEL_SET(search_request, &r, context, "all");
	if (cli_send(&c, "PUT", &type_search_request, &r, &type_search_answer, &answer, &e, "/v1/search") < 0)
		return search_failed(&e);
	if (choose(&answer.matches, a->pos[0], &m, &several))
		return hand_over(a, &m);
	if (several)
		list_matches(&answer.matches, a->pos[0]);
	else
		fprintf(stderr, "Unable to resolve ID: \"%s\"\n", a->pos[0]);
	return 1;
}

static const struct cmd_flag flags[] = {
    FLAG_VERBOSE,
    {NULL, 0, NULL, NULL},
};

const struct cmd cmds_status[] = {
    {
        .words = "status",
        .usage = "[options] <identifier>",
        .synopsis = "Show a job, allocation, node or evaluation",
        .help = "Without an identifier, lists the jobs. Otherwise finds out what the identifier, or the beginning of one,\n"
                "names, and shows it as the status command of its kind does. A whole identifier wins over the\n"
                "beginnings of others.\n",
        .flags = flags,
        .max_pos = 1,
        .bits = CMD_CLIENT | CMD_JSON,
        .run = run_status,
    },
    {.words = NULL},
};
