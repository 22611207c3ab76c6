/* cmd: finding a command, reading its flags, running it. */
#include "daemon/cmd.h"

#include <errno.h>

#include "base/clock.h"
#include "base/map.h"

#define LIST(name) cmds_##name,
const struct cmd *const cmd_tables[] = {CMD_TABLES(LIST) NULL};

#define MAX_WORDS 3 /* of a command: "operator raft list-peers" */

/* ---- what was given ---- */

static const struct strs *values(const struct cmd_args *a, const char *flag)
{
	return map_get(a->flags, flag);
}

bool arg_given(const struct cmd_args *a, const char *flag)
{
	return values(a, flag) != NULL;
}

const char *arg_str(const struct cmd_args *a, const char *flag, const char *unset)
{
	const struct strs *l = values(a, flag);

	return l ? l->v[l->n - 1] : unset;
}

bool arg_bool(const struct cmd_args *a, const char *flag)
{
	return str_eq(arg_str(a, flag, "false"), "true");
}

static int read_int(const char *text, int64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoll(text, &end, 0);
	return errno || *end || !*text ? -EINVAL : 0;
}

int64_t arg_int(const struct cmd_args *a, const char *flag, int64_t unset)
{
	const char *text = arg_str(a, flag, NULL);
	int64_t v = unset;

	if (text && read_int(text, &v) < 0)
		duration_parse(text, &v);
	return v;
}

const struct strs *arg_list(const struct cmd_args *a, const char *flag)
{
	static const struct strs none;
	const struct strs *l = values(a, flag);

	return l ? l : &none;
}

/* ---- flags ---- */

static const struct cmd_flag *find_flag(const struct cmd *c, const char *name, size_t n)
{
	const struct cmd_flag *lists[] = {
	    c->flags,
	    c->bits & CMD_JSON ? cmd_json_flags : NULL,
	    c->bits & CMD_CLIENT ? cmd_client_flags : NULL,
	};

	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		for (const struct cmd_flag *f = lists[i]; f && f->name; f++)
			if (strlen(f->name) == n && strncmp(f->name, name, n) == 0)
				return f;
	return NULL;
}

/* Go's words for a boolean; NULL for another one. */
static const char *bool_word(const char *s)
{
	static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True"};
	static const char *const no[] = {"0", "f", "F", "false", "FALSE", "False"};

	for (size_t i = 0; i < ARRAY_LEN(yes); i++)
		if (str_eq(s, yes[i]))
			return "true";
	for (size_t i = 0; i < ARRAY_LEN(no); i++)
		if (str_eq(s, no[i]))
			return "false";
	return NULL;
}

static int check_value(const struct cmd_flag *f, const char **value, struct err *e)
{
	int64_t unused;

	switch (f->kind) {
	case CMD_BOOL:
		if (!bool_word(*value))
			return err_set(e, -EINVAL, "invalid boolean value \"%s\" for -%s: expected true or false", *value,
			    f->name);
		*value = bool_word(*value);
		break;
	case CMD_INT:
		if (read_int(*value, &unused) < 0)
			return err_set(e, -EINVAL, "invalid value \"%s\" for flag -%s: expected an integer", *value, f->name);
		break;
	case CMD_DUR:
		if (duration_parse(*value, &unused) < 0)
			return err_set(e, -EINVAL, "invalid value \"%s\" for flag -%s: expected a duration such as 30s or 1h30m",
			    *value, f->name);
		break;
	case CMD_STR:
	case CMD_LIST:
		break;
	}
	return 0;
}

static void keep_value(struct cmd_args *a, const struct cmd_flag *f, const char *value)
{
	struct strs *l = map_get(a->flags, f->name);

	if (!l) {
		l = arena_alloc(a->arena, sizeof(*l));
		map_set(a->flags, f->name, l);
	}
	strs_push(a->arena, l, value);
}

/* Reads flags up to the first word that is none; the rest are positional. -ECANCELED: help was asked for. */
static int read_flags(struct cmd_args *a, int argc, char **argv, struct err *e)
{
	int i = 0;

	for (; i < argc && argv[i][0] == '-' && argv[i][1]; i++) {
		const char *name = argv[i] + (argv[i][1] == '-' ? 2 : 1), *eq = strchr(name, '='), *value;
		size_t n = eq ? (size_t)(eq - name) : strlen(name);
		const struct cmd_flag *f;

		if (!*name) { /* "--" ends the flags */
			i++;
			break;
		}
		f = find_flag(a->cmd, name, n);
		if (!f && ((n == 1 && *name == 'h') || (n == 4 && str_starts(name, "help"))))
			return -ECANCELED;
		if (!f)
			return err_set(e, -EINVAL, "flag provided but not defined: -%.*s", (int)n, name);
		if (eq)
			value = eq + 1;
		else if (f->kind == CMD_BOOL)
			value = "true";
		else if (i + 1 < argc)
			value = argv[++i];
		else
			return err_set(e, -EINVAL, "flag needs an argument: -%s", f->name);
		if (check_value(f, &value, e) < 0)
			return e->code;
		keep_value(a, f, value);
	}
	a->pos = (const char **)argv + i;
	a->n_pos = argc - i;
	return 0;
}

/* ---- arguments ---- */

int cmd_misused(const struct cmd *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\nFor additional help try 'drover %s -help'\n", c->words);
	return c->misuse ? c->misuse : 1;
}

static int check_count(const struct cmd_args *a)
{
	static const char *const words[] = {"no", "one", "two", "three", "four"};
	const struct cmd *c = a->cmd;
	const char *names = strchr(c->usage, '<'), *hint = "";
	int most = (int)ARRAY_LEN(words) - 1;
	cleanup_free char *count = NULL;

	if (a->n_pos >= c->min_pos && (c->max_pos < 0 || a->n_pos <= c->max_pos))
		return 0;
	for (int i = 0; i < a->n_pos; i++)
		if (a->pos[i][0] == '-' && a->pos[i][1])
			hint = "\nOptions stand before the arguments.";
	if (c->takes)
		return cmd_misused(c, "This command takes %s%s", c->takes, hint);
	if (c->max_pos < 0)
		count = xasprintf("at least %s argument%s", words[MIN(c->min_pos, most)], c->min_pos == 1 ? "" : "s");
	else if (c->max_pos == 0)
		count = xstrdup("no arguments");
	else if (c->min_pos == c->max_pos)
		count = xasprintf("%s argument%s", words[MIN(c->max_pos, most)], c->max_pos == 1 ? "" : "s");
	else if (c->min_pos == 0 && c->max_pos == 1)
		count = xstrdup("either one or no arguments");
	else if (c->min_pos + 1 == c->max_pos)
		count = xasprintf("%s or %s arguments", words[c->min_pos], words[MIN(c->max_pos, most)]);
	else
		count = xasprintf("%s to %s arguments", words[c->min_pos], words[MIN(c->max_pos, most)]);
	return cmd_misused(c, "This command takes %s%s%s%s", count, names && c->max_pos ? ": " : "",
	    names && c->max_pos ? names : "", hint);
}

static int run(const struct cmd *c, int argc, char **argv)
{
	struct map flags = MAP_INIT;
	cleanup_arena struct arena *arena = arena_new();
	cleanup_err struct err e = ERR_INIT;
	struct cmd_args a = {.cmd = c, .flags = &flags, .arena = arena};
	int code, rc = read_flags(&a, argc, argv, &e);

	if (rc == -ECANCELED) {
		cmd_help_command(c, stdout);
		code = 0;
	} else if (rc < 0) {
		code = cmd_misused(c, "%s", err_str(&e));
	} else {
		code = check_count(&a);
		if (code == 0)
			code = c->run(&a);
	}
	map_free(&flags);
	if (fflush(stdout) != 0 && code == 0)
		code = 1;
	return code;
}

/* ---- finding ---- */

static bool has_alias(const struct cmd *c, const char *words)
{
	size_t n = strlen(words);

	for (const char *p = c->aliases; p && *p; p += strcspn(p, ",") + (strchr(p, ',') != NULL))
		if (strcspn(p, ",") == n && strncmp(p, words, n) == 0)
			return true;
	return false;
}

const struct cmd *cmd_find(const char *words)
{
	for (const struct cmd *const *t = cmd_tables; *t; t++)
		for (const struct cmd *c = *t; c->words; c++)
			if (str_eq(c->words, words) || has_alias(c, words))
				return c;
	return NULL;
}

/* The command whose words are the first of argv, as many as match; n = how many. */
static const struct cmd *find_longest(int argc, char **argv, int *n)
{
	for (int k = MIN(argc, MAX_WORDS); k > 0; k--) {
		cleanup_buf struct buf b = BUF_INIT;
		const struct cmd *c;

		for (int i = 0; i < k; i++)
			buf_printf(&b, "%s%s", i ? " " : "", argv[i]);
		c = cmd_find(b.data);
		if (c) {
			*n = k;
			return c;
		}
	}
	return NULL;
}

/* The longest group whose words begin argv; "" when none does. */
static const char *find_group(struct arena *a, int argc, char **argv, int *n)
{
	const char *found = "", *words = "";

	*n = 0;
	for (int i = 0; i < argc && i < MAX_WORDS; i++) {
		words = i ? arena_printf(a, "%s %s", words, argv[i]) : argv[i];
		if (!cmd_is_group(words))
			break;
		found = words;
		*n = i + 1;
	}
	return found;
}

static bool is_help(const char *word)
{
	return str_eq(word, "-h") || str_eq(word, "-help") || str_eq(word, "--help") || str_eq(word, "help");
}

static bool is_version(const char *word)
{
	return str_eq(word, "-v") || str_eq(word, "-version") || str_eq(word, "--version");
}

/* `drover help job run` */
static int help(int argc, char **argv)
{
	cleanup_arena struct arena *a = arena_new();
	int n;
	const struct cmd *c = find_longest(argc, argv, &n);

	if (c && n == argc) {
		cmd_help_command(c, stdout);
		return 0;
	}
	cmd_help_group(find_group(a, argc, argv, &n), stdout);
	return n == argc ? 0 : 127;
}

int cmd_main(int argc, char **argv)
{
	static char version[] = "version";
	cleanup_arena struct arena *a = arena_new();
	const struct cmd *c;
	const char *group;
	int n;

	argc--;
	argv++;
	if (argc && is_version(argv[0]))
		argv[0] = version;
	if (argc && is_help(argv[0]))
		return help(argc - 1, argv + 1);
	c = find_longest(argc, argv, &n);
	if (c)
		return run(c, argc - n, argv + n);
	group = find_group(a, argc, argv, &n);
	cmd_help_group(group, stdout);
	if (argc > n && is_help(argv[n]))
		return 0;
	return *group ? 1 : 127;
}
