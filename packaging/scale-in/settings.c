#include "packaging/scale-in/settings.h"

#include <confuse.h>
#include <errno.h>

#include "base/clock.h"

#define WIDTH 110 /* columns of the manual */

enum kind { TEXT, CHOICE, FLAG, TIME, WORDS, LEVEL };

static const struct option {
	const char *section, *name;
	enum kind type;
	size_t offset;
	const char *unset;   /* default as text, NULL = none */
	const char *example; /* what the sample shows where there is no default */
	const char *choices; /* of CHOICE: words with a blank before and behind */
	int64_t min, max;    /* of TIME */
	const char *help;
} options[] = {
#define O(sec, nam, typ, member, ...) {.section = sec, .name = nam, .type = typ, .offset = offsetof(struct settings, member), __VA_ARGS__}
#define TLS_OPTIONS(sec, member, who)                                                                                           \
	O(sec, "ca_file", TEXT, member.ca_file, .example = "/etc/drover/ca.pem", .help = "PEM file with the CA of " who "'s certificate"),  \
	O(sec, "cert_file", TEXT, member.cert_file, .example = "/etc/drover/agent.pem", .help = "PEM file with our certificate"),       \
	O(sec, "key_file", TEXT, member.key_file, .example = "/etc/drover/agent-key.pem", .help = "PEM file with its key"),            \
	O(sec, "tls_server_name", TEXT, member.server_name, .example = "drover.example.net", .help = "name to expect in the certificate")
    O("", "provider", CHOICE, provider, .unset = "aws-asg", .choices = " aws-asg exec http ", .help = "who says that this machine is to go: aws-asg, exec or http"),
    O("", "state_file", TEXT, state_file, .unset = "/var/lib/drover-scale-in/state.json", .help = "absolute path of what must survive a restart"),
    O("", "interval", TIME, interval, .unset = "5s", .min = 100 * MILLI, .max = MINUTE, .help = "time between two looks at the provider and, while there is a drain, at the agent"),
    O("", "heartbeat", TIME, heartbeat, .unset = "5m", .min = 100 * MILLI, .max = HOUR, .help = "time between two heartbeats; at most a third of the lifecycle hook's own"),
    O("", "log_level", LEVEL, log_level, .unset = "INFO", .help = "TRACE, DEBUG, INFO, WARN or ERROR"),
    O("", "log_json", FLAG, log_json, .unset = "false", .help = "one JSON object a line instead of text"),

    O("agent", "address", TEXT, agent.address, .unset = "http://127.0.0.1:4646", .help = "the drover agent of this machine"),
    O("agent", "token_file", TEXT, agent.token_file, .example = "/etc/drover/scale-in.token", .help = "file that holds the ACL token for it"),
    TLS_OPTIONS("agent", agent.tls, "the agent"),

    O("drain", "deadline", TIME, drain.deadline, .unset = "0s", .max = 48 * HOUR, .help = "what still runs so long after the drain began is stopped; 0 = as long as it takes. A machine that is taken away at a known time has that as its deadline"),
    O("drain", "ignore_system_jobs", FLAG, drain.ignore_system_jobs, .unset = "false", .help = "leave system jobs running to the end"),

    O("aws", "group", TEXT, aws.group, .example = "ci", .help = "name of the auto scaling group; when left out, the instance's tag aws:autoscaling:groupName as the metadata has it"),
    O("aws", "hook", TEXT, aws.hook, .example = "drover-drain", .help = "name of its lifecycle hook for autoscaling:EC2_INSTANCE_TERMINATING; without one nothing holds the instance, and notices alone are acted on"),
    O("aws", "leave_states", WORDS, aws.leave_states, .unset = "Terminated Warmed:Terminated Warmed:Stopped Warmed:Hibernated Warmed:Running", .help = "target lifecycle states for which the node is drained"),
    O("aws", "rebalance", CHOICE, aws.rebalance, .unset = "ignore", .choices = " ignore drain ", .help = "on a rebalance recommendation: ignore it, or drain without deadline"),
    O("aws", "spot_margin", TIME, aws.spot_margin, .unset = "10s", .max = MINUTE, .help = "the drain ends so long before a spot instance is interrupted"),
    O("aws", "region", TEXT, aws.region, .example = "eu-west-1", .help = "region; as the metadata has it when left out"),
    O("aws", "endpoint", TEXT, aws.endpoint, .example = "https://autoscaling.eu-west-1.amazonaws.com", .help = "address of the auto scaling API; made from region and the metadata's domain when left out"),
    O("aws", "metadata", TEXT, aws.metadata, .unset = "http://169.254.169.254", .help = "address of the instance metadata"),

    O("exec", "state", WORDS, exec.state, .example = "/usr/local/sbin/wanted-state", .help = "command that prints \"stay\", \"leave [TIME|-] [REASON]\" or \"unknown\""),
    O("exec", "heartbeat", WORDS, exec.heartbeat, .example = "/usr/local/sbin/still-draining", .help = "command that is run at each heartbeat"),
    O("exec", "complete", WORDS, exec.complete, .example = "/usr/local/sbin/release-machine", .help = "command that is run when the node is empty, until it exits 0"),
    O("exec", "timeout", TIME, exec.timeout, .unset = "10s", .min = 100 * MILLI, .max = MINUTE, .help = "a command that takes longer is killed, and has failed"),

    O("http", "state", TEXT, http.state, .example = "https://fleet.example.net/state", .help = "URL whose body is as a state command prints it (GET)"),
    O("http", "heartbeat", TEXT, http.heartbeat, .example = "https://fleet.example.net/heartbeat", .help = "URL that is told at each heartbeat (POST)"),
    O("http", "complete", TEXT, http.complete, .example = "https://fleet.example.net/complete", .help = "URL that is told that the node is empty, until it answers with 2xx (POST)"),
    O("http", "token_file", TEXT, http.token_file, .example = "/etc/drover/fleet.token", .help = "file that holds what is sent as Authorization: Bearer"),
    TLS_OPTIONS("http", http.tls, "the server"),
    O("http", "timeout", TIME, http.timeout, .unset = "10s", .min = 100 * MILLI, .max = MINUTE, .help = "a request that takes longer has failed"),
};

/* ---- one option ---- */

static const struct option *find(const char *section, const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		if (str_eq(options[i].section, section) && str_eq(options[i].name, name))
			return &options[i];
	return NULL;
}

static int read_time(const struct option *o, const char *text, int64_t *out, struct err *e)
{
	char least[DURATION_STR], most[DURATION_STR];

	if (duration_parse(text, out) < 0)
		return err_set(e, -EINVAL, "%s: expected a duration like \"30s\" or \"1h30m\", got \"%s\"", o->name, text);
	if (*out < o->min || *out > o->max)
		return err_set(e, -ERANGE, "%s: %s is out of range; expected %s to %s", o->name, text,
		    duration_format(o->min, least), duration_format(o->max, most));
	return 0;
}

/* Checks the text; s NULL: does not store it. Of WORDS text is one word. */
static int take(struct settings *s, const struct option *o, const char *text, struct err *e)
{
	cleanup_free char *choice = xasprintf(" %s ", text);
	void *slot = s ? (char *)s + o->offset : NULL;
	enum log_level level;
	int64_t time = 0;
	int rc = 0;

	switch (o->type) {
	case CHOICE:
		if (!*text || !strstr(o->choices, choice))
			return err_set(e, -EINVAL, "%s: expected one of%s, got \"%s\"", o->name, o->choices, text);
		__attribute__((fallthrough));
	case TEXT:
		if (slot)
			*(const char **)slot = arena_strdup(s->arena, text);
		break;
	case FLAG:
		if (slot)
			*(bool *)slot = str_eq(text, "true");
		break;
	case TIME:
		rc = read_time(o, text, &time, e);
		if (rc >= 0 && slot)
			*(int64_t *)slot = time;
		break;
	case WORDS:
		if (slot)
			strs_push(s->arena, slot, text);
		break;
	case LEVEL:
		if (log_level_parse(text, &level) < 0)
			return err_set(e, -EINVAL, "%s: expected TRACE, DEBUG, INFO, WARN or ERROR, got \"%s\"", o->name, text);
		if (slot)
			*(enum log_level *)slot = level;
		break;
	}
	return rc;
}

static int take_default(struct settings *s, const struct option *o, struct err *e)
{
	cleanup_free char *copy = xstrdup(o->unset);
	char *save = NULL;
	int rc = 0;

	if (o->type != WORDS)
		return take(s, o, o->unset, e);
	for (char *word = strtok_r(copy, " ", &save); word && rc >= 0; word = strtok_r(NULL, " ", &save))
		rc = take(s, o, word, e);
	return rc;
}

struct settings *settings_new(void)
{
	struct arena *a = arena_new();
	struct settings *s = arena_alloc(a, sizeof(*s));
	cleanup_err struct err e = ERR_INIT;

	s->arena = a;
	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		if (options[i].unset && take_default(s, &options[i], &e) < 0)
			die("default of %s: %s", options[i].name, err_str(&e));
	return s;
}

void settings_free(struct settings *s)
{
	if (s)
		arena_free(s->arena);
}

/* ---- the file ---- */

/* libConfuse's error callback has no argument of its own. */
static struct err *read_error;
static const char *read_path;

static void on_error(cfg_t *cfg, const char *fmt, va_list ap)
{
	cleanup_buf struct buf b = BUF_INIT;

	if (read_error->code)
		return; /* the first one is the cause */
	buf_vprintf(&b, fmt, ap);
	err_set(read_error, -EINVAL, "%s:%d: %s", read_path, cfg->line, b.data ? b.data : "");
}

static const char *text_of(cfg_opt_t *opt, unsigned i)
{
	return opt->type == CFGT_BOOL ? (cfg_opt_getnbool(opt, i) ? "true" : "false") : cfg_opt_getnstr(opt, i);
}

static int on_value(cfg_t *cfg, cfg_opt_t *opt)
{
	const struct option *o = find(str_eq(cfg->name, "root") ? "" : cfg->name, opt->name);
	cleanup_err struct err e = ERR_INIT;

	if (o && cfg_opt_size(opt) && take(NULL, o, text_of(opt, cfg_opt_size(opt) - 1), &e) < 0) {
		cfg_error(cfg, "%s", err_str(&e));
		return -1;
	}
	return 0;
}

static cfg_opt_t leaf(const struct option *o)
{
	cfg_opt_t text = CFG_STR(o->name, NULL, CFGF_NODEFAULT), flag = CFG_BOOL(o->name, cfg_false, CFGF_NODEFAULT);
	cfg_opt_t list = CFG_STR_LIST(o->name, NULL, CFGF_NODEFAULT);
	cfg_opt_t out = o->type == FLAG ? flag : o->type == WORDS ? list : text;

	out.validcb = on_value;
	return out;
}

#define SECTIONS  8
#define BLOCK_MAX 24
static cfg_t *make_parser(void)
{
	static cfg_opt_t blocks[SECTIONS][BLOCK_MAX]; /* the first is the top; libConfuse copies them */
	const cfg_opt_t end = CFG_END();
	const char *section = "";
	size_t block = 0, n = 0, n_top = 0;

	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		if (!str_eq(options[i].section, section)) {
			section = options[i].section;
			block++;
			n = 0;
		}
		if (block + 1 >= SECTIONS || n + SECTIONS >= BLOCK_MAX)
			die("too many options");
		blocks[block][n++] = leaf(&options[i]);
		blocks[block][n] = end;
		n_top += !block;
	}
	for (size_t i = 0, b = 0; i < ARRAY_LEN(options); i++) {
		if (!*options[i].section || (i && str_eq(options[i].section, options[i - 1].section)))
			continue;
		const cfg_opt_t inner = CFG_SEC(options[i].section, blocks[++b], CFGF_NODEFAULT);

		blocks[0][n_top++] = inner;
	}
	blocks[0][n_top] = end;
	cfg_t *cfg = cfg_init(blocks[0], CFGF_NONE);

	if (!cfg)
		die("out of memory");
	cfg_set_error_function(cfg, on_error);
	return cfg;
}

static int take_all(struct settings *s, cfg_t *cfg, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; i < ARRAY_LEN(options) && rc >= 0; i++) {
		const struct option *o = &options[i];
		cfg_t *block = !*o->section ? cfg : cfg_size(cfg, o->section) ? cfg_getsec(cfg, o->section) : NULL;
		cfg_opt_t *opt = block ? cfg_getopt(block, o->name) : NULL;
		unsigned n = opt ? cfg_opt_size(opt) : 0;

		if (n && o->type == WORDS)
			*(struct strs *)(void *)((char *)s + o->offset) = (struct strs){0};
		for (unsigned k = 0; k < n && rc >= 0; k++)
			rc = take(s, o, text_of(opt, k), e);
	}
	return rc;
}

static int check_provider(const struct settings *s, struct err *e)
{
	const struct {
		bool missing;
		const char *provider, *sentence;
	} rules[] = {
	    {!s->exec.state.n, "exec", "exec { state } is missing: the command that prints the wanted state"},
	    {!s->exec.complete.n, "exec", "exec { complete } is missing: the command to run when the node is empty"},
	    {str_empty(s->http.state), "http", "http { state } is missing: the URL that says the wanted state"},
	    {str_empty(s->http.complete), "http", "http { complete } is missing: the URL to tell that the node is empty"},
	    {str_empty(s->aws.metadata), "aws-asg", "aws { metadata } is empty"},
	    {s->state_file[0] != '/', s->provider, "state_file: expected an absolute path"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		if (rules[i].missing && str_eq(rules[i].provider, s->provider))
			return err_set(e, -EINVAL, "%s", rules[i].sentence);
	return 0;
}

int settings_read(struct settings *s, const char *path, struct err *e)
{
	struct err own = ERR_INIT;
	cfg_t *cfg = make_parser();
	int rc = 0, parsed;

	read_path = path;
	read_error = &own;
	errno = 0;
	parsed = cfg_parse(cfg, path);
	if (parsed == CFG_FILE_ERROR)
		rc = err_set(e, errno ? -errno : -EIO, "%s: %s", path, strerror(errno ? errno : EIO));
	else if (parsed != CFG_SUCCESS)
		rc = err_set(e, -EINVAL, "%s", own.code ? err_str(&own) : "the file cannot be read as configuration");
	else
		rc = take_all(s, cfg, e);
	if (rc >= 0 && (rc = check_provider(s, e)) < 0)
		err_wrap(e, "%s", path);
	read_error = NULL;
	err_clear(&own);
	cfg_free(cfg);
	return rc;
}

/* ---- what people read ---- */

static void put_value(struct buf *out, const struct option *o)
{
	const char *text = str_or(o->unset, str_or(o->example, ""));

	if (o->type == FLAG) {
		buf_puts(out, text);
		return;
	}
	if (o->type != WORDS) {
		buf_printf(out, "\"%s\"", text);
		return;
	}
	buf_putc(out, '{');
	for (const char *p = text; *p; p += strcspn(p, " "), p += *p == ' ')
		buf_printf(out, "%s\"%.*s\"", p == text ? "" : ", ", (int)strcspn(p, " "), p);
	buf_putc(out, '}');
}

void settings_put_sample(struct buf *out)
{
	const char *section = "";

	buf_puts(out, "# drover-scale-in configuration: every option with its default, or an example, commented out.\n"
	              "# Read by `drover-scale-in -config FILE`. Lists are written {\"a\", \"b\"}. Made by `drover-scale-in -sample`.\n\n");
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		const struct option *o = &options[i];
		const char *tab = *o->section ? "\t" : "";

		if (!str_eq(o->section, section))
			buf_printf(out, "%s\n%s {\n", *section ? "}\n" : "", o->section);
		section = o->section;
		buf_printf(out, "%s# %s\n%s#%s = ", tab, o->help, tab, o->name);
		put_value(out, o);
		buf_putc(out, '\n');
	}
	buf_puts(out, "}\n");
}

/* Indented by 14, broken between words. */
static void put_wrapped(struct buf *out, const char *text)
{
	size_t column = 0;

	while (*text) {
		size_t n = strcspn(text, " ");

		if (!column || column + n >= WIDTH) {
			buf_printf(out, "%s%14s", column ? "\n" : "", "");
			column = 14;
		} else {
			buf_putc(out, ' ');
			column++;
		}
		buf_put(out, text, n);
		column += n;
		text += n + (text[n] == ' ');
	}
	buf_puts(out, ".\n");
}

void settings_put_manual(struct buf *out)
{
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		const struct option *o = &options[i];

		buf_printf(out, "       %s%s%s = ", o->section, *o->section ? "." : "", o->name);
		put_value(out, o);
		buf_puts(out, o->unset ? "\n" : " (an example; there is no default)\n");
		put_wrapped(out, o->help);
	}
}
