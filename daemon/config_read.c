/*
 * config_read: configuration files, read with libConfuse. Its option arrays are made from our table, one for each
 * block; values are checked while the file is read, so that an error has its line.
 */
#include <confuse.h>
#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

#include "base/file.h"
#include "daemon/config_options.h"

/* libConfuse's error callback has no argument of its own. */
static struct err *read_error;
static const char *read_path;

static void on_error(cfg_t *cfg, const char *fmt, va_list ap)
{
	cleanup_buf struct buf b = BUF_INIT;

	if (read_error && read_error->code)
		return; /* the first one is the cause */
	buf_vprintf(&b, fmt, ap);
	err_set(read_error, -EINVAL, "%s:%d: %s", read_path ? read_path : "configuration", cfg->line, b.data ? b.data : "");
}

static const char *last_part(const char *section)
{
	const char *dot = strrchr(section, '.');

	return dot ? dot + 1 : section;
}

static const struct option *find(const char *block, const char *name)
{
	for (size_t i = 0; i < config_n_options; i++)
		if (str_eq(last_part(config_options[i].section), block) && str_eq(config_options[i].name, name))
			return &config_options[i];
	return NULL;
}

/* The newest value of an option as text. */
static const char *value_text(cfg_opt_t *opt, enum option_type type, unsigned i, char *num, size_t size)
{
	switch (type) {
	case OPT_BOOL:
		return cfg_opt_getnbool(opt, i) ? "true" : "false";
	case OPT_INT:
	case OPT_INT32:
		snprintf(num, size, "%ld", cfg_opt_getnint(opt, i));
		return num;
	case OPT_DBL:
		snprintf(num, size, "%.17g", cfg_opt_getnfloat(opt, i));
		return num;
	default:
		return cfg_opt_getnstr(opt, i);
	}
}

static int on_value(cfg_t *cfg, cfg_opt_t *opt)
{
	cleanup_err struct err e = ERR_INIT;
	const struct option *o = find(str_eq(cfg->name, "root") ? "" : cfg->name, opt->name);
	char num[40];

	if (!o || !cfg_opt_size(opt))
		return 0;
	if (option_check(o, value_text(opt, o->type, cfg_opt_size(opt) - 1, num, sizeof(num)), &e) < 0) {
		cfg_error(cfg, "%s", err_str(&e));
		return -1;
	}
	return 0;
}

static cfg_opt_t leaf(const struct option *o)
{
	cfg_opt_t str = CFG_STR(o->name, NULL, CFGF_NODEFAULT), num = CFG_INT(o->name, 0, CFGF_NODEFAULT);
	cfg_opt_t dbl = CFG_FLOAT(o->name, 0, CFGF_NODEFAULT), yes = CFG_BOOL(o->name, cfg_false, CFGF_NODEFAULT);
	cfg_opt_t list = CFG_STR_LIST(o->name, NULL, CFGF_NODEFAULT);
	cfg_opt_t out = o->type == OPT_BOOL ? yes
	    : o->type == OPT_INT || o->type == OPT_INT32 ? num
	    : o->type == OPT_DBL ? dbl
	    : o->type == OPT_LIST ? list
	                          : str;

	out.validcb = on_value;
	return out;
}

/* Option arrays of the blocks; libConfuse copies them in cfg_init(). */
#define BLOCK_MAX 40
static void fill_block(cfg_opt_t *out, const char *section, const cfg_opt_t *inner, size_t n_inner)
{
	const cfg_opt_t end = CFG_END();
	size_t n = 0;

	for (size_t i = 0; i < config_n_options; i++)
		if (str_eq(config_options[i].section, section) && config_options[i].type != OPT_MAP)
			out[n++] = leaf(&config_options[i]);
	for (size_t i = 0; i < n_inner; i++)
		out[n++] = inner[i];
	if (n >= BLOCK_MAX)
		die("configuration block \"%s\" has too many options", section);
	out[n] = end;
}

static cfg_t *make_parser(void)
{
	static cfg_opt_t top[BLOCK_MAX], ports[BLOCK_MAX], advertise[BLOCK_MAX], server[BLOCK_MAX], client[BLOCK_MAX],
	    reserved[BLOCK_MAX], drain[BLOCK_MAX], consul[BLOCK_MAX], limits[BLOCK_MAX], telemetry[BLOCK_MAX], tls[BLOCK_MAX];
	static cfg_opt_t free_form[] = {CFG_END()};
	static cfg_opt_t plugin_config[] = {CFG_BOOL("enabled", cfg_false, CFGF_NODEFAULT), CFG_END()};
	static cfg_opt_t plugin[] = {CFG_SEC("config", plugin_config, CFGF_NONE), CFG_END()};
	const cfg_opt_t in_client[] = {CFG_SEC("meta", free_form, CFGF_KEYSTRVAL), CFG_SEC("options", free_form, CFGF_KEYSTRVAL),
	    CFG_SEC("reserved", reserved, CFGF_NONE), CFG_SEC("drain_on_shutdown", drain, CFGF_NODEFAULT)};
	const cfg_opt_t in_top[] = {CFG_SEC("ports", ports, CFGF_NONE), CFG_SEC("advertise", advertise, CFGF_NONE),
	    CFG_SEC("server", server, CFGF_NONE), CFG_SEC("client", client, CFGF_NONE), CFG_SEC("consul", consul, CFGF_NODEFAULT),
	    CFG_SEC("limits", limits, CFGF_NONE), CFG_SEC("telemetry", telemetry, CFGF_NONE),
	    CFG_SEC("tls", tls, CFGF_NONE),
	    CFG_SEC("plugin", plugin, CFGF_MULTI | CFGF_TITLE)};
	cfg_t *cfg;

	fill_block(ports, "ports", NULL, 0);
	fill_block(advertise, "advertise", NULL, 0);
	fill_block(server, "server", NULL, 0);
	fill_block(reserved, "client.reserved", NULL, 0);
	fill_block(drain, "client.drain_on_shutdown", NULL, 0);
	fill_block(client, "client", in_client, ARRAY_LEN(in_client));
	fill_block(consul, "consul", NULL, 0);
	fill_block(limits, "limits", NULL, 0);
	fill_block(telemetry, "telemetry", NULL, 0);
	fill_block(tls, "tls", NULL, 0);
	fill_block(top, "", in_top, ARRAY_LEN(in_top));
	cfg = cfg_init(top, CFGF_NONE);
	if (!cfg)
		die("out of memory");
	cfg_set_error_function(cfg, on_error);
	return cfg;
}

/* The block of a section name, NULL when the file does not have it. */
static cfg_t *block_of(cfg_t *cfg, const char *section)
{
	cleanup_free char *copy = xstrdup(section);
	char *save = NULL;

	for (char *part = strtok_r(copy, ".", &save); part && cfg; part = strtok_r(NULL, ".", &save))
		cfg = cfg_size(cfg, part) ? cfg_getsec(cfg, part) : NULL;
	return cfg;
}

static int take_map(struct config *c, cfg_t *block, struct strmap *out)
{
	for (unsigned i = 0; i < cfg_num(block); i++) {
		cfg_opt_t *opt = cfg_getnopt(block, i);

		if (opt && opt->name && opt->type == CFGT_STR && cfg_opt_size(opt))
			strmap_set(c->arena, out, arena_strdup(c->arena, opt->name), arena_strdup(c->arena, cfg_opt_getnstr(opt, 0)));
	}
	return 0;
}

static int take_option(struct config *c, cfg_t *cfg, const struct option *o, struct err *e)
{
	cfg_t *block = block_of(cfg, o->section);
	cfg_opt_t *opt;
	char num[40];

	if (!block)
		return 0;
	if (o->type == OPT_MAP)
		return take_map(c, block, (struct strmap *)((char *)c + o->offset));
	opt = cfg_getopt(block, o->name);
	if (!opt || !cfg_opt_size(opt))
		return 0;
	if (o->type == OPT_LIST)
		*(struct strs *)((char *)c + o->offset) = (struct strs){0};
	for (unsigned i = 0; i < cfg_opt_size(opt); i++) {
		int rc = option_apply(c, o, value_text(opt, o->type, i, num, sizeof(num)), e);

		if (rc < 0)
			return rc;
	}
	return 0;
}

static int take_all(struct config *c, cfg_t *cfg, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; i < config_n_options && rc >= 0; i++)
		if (!str_starts(config_options[i].section, "plugin"))
			rc = take_option(c, cfg, &config_options[i], e);
	for (unsigned i = 0; i < cfg_size(cfg, "plugin"); i++) {
		cfg_t *p = cfg_getnsec(cfg, "plugin", i), *config = cfg_getsec(p, "config");

		if (cfg_opt_size(cfg_getopt(config, "enabled")))
			strmap_set(c->arena, &c->drivers_enabled, arena_strdup(c->arena, cfg_title(p)),
			    cfg_getbool(config, "enabled") ? "true" : "false");
	}
	if (cfg_size(cfg, "consul"))
		c->consul.configured = true;
	if (block_of(cfg, "client.drain_on_shutdown"))
		c->client.drain.enabled = true;
	return rc;
}

/* libConfuse takes the end of the file for the end of every open block. Strings and comments are skipped. */
static int check_blocks(const char *path, struct err *e)
{
	cleanup_buf struct buf text = BUF_INIT;
	int line = 1, depth = 0, opened[16] = {0};
	int rc = file_read(path, 1024 * 1024, &text, e);
	const char *end;

	for (const char *p = text.data; rc >= 0 && p && *p; p++) {
		end = NULL;
		if (*p == '"' || *p == '\'')
			for (end = p + 1; *end && *end != *p; end++)
				end += *end == '\\' && end[1];
		else if (*p == '#' || (*p == '/' && p[1] == '/'))
			end = p + strcspn(p, "\n") - 1;
		else if (*p == '/' && p[1] == '*')
			end = strstr(p + 2, "*/") ? strstr(p + 2, "*/") + 1 : p + strlen(p) - 1;
		else if (*p == '{' && depth++ < (int)ARRAY_LEN(opened))
			opened[depth - 1] = line;
		else if (*p == '}')
			depth -= depth > 0;
		for (; end && p < end && *p; p++)
			line += *p == '\n';
		line += *p == '\n';
		if (!*p)
			break;
	}
	if (rc >= 0 && depth > 0)
		return err_set(e, -EINVAL, "%s:%d: the block that begins here is not closed; expected '}'", path,
		    opened[MIN(depth, (int)ARRAY_LEN(opened)) - 1]);
	return rc;
}

static int read_one(struct config *c, const char *path, struct err *e)
{
	cfg_t *cfg;
	int rc = check_blocks(path, e), parsed;

	if (rc < 0)
		return rc;
	cfg = make_parser();
	err_clear(e);
	read_path = path;
	read_error = e;
	errno = 0;
	parsed = cfg_parse(cfg, path);
	read_error = NULL;
	if (parsed == CFG_FILE_ERROR)
		rc = err_set(e, errno ? -errno : -EIO, "%s: %s", path, strerror(errno ? errno : EIO));
	else if (parsed != CFG_SUCCESS)
		rc = e && e->code ? e->code : err_set(e, -EINVAL, "%s: cannot be read as configuration", path);
	else
		rc = take_all(c, cfg, e);
	cfg_free(cfg);
	if (rc >= 0)
		strs_push(c->arena, &c->files, path);
	return rc;
}

static int is_conf(const struct dirent *d)
{
	size_t n = strlen(d->d_name);

	return n > 5 && d->d_name[0] != '.' && strcmp(d->d_name + n - 5, ".conf") == 0;
}

static int read_folder(struct config *c, const char *path, struct err *e)
{
	struct dirent **names = NULL;
	int n = scandir(path, &names, is_conf, alphasort), rc = 0;

	if (n < 0)
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	for (int i = 0; i < n; i++) {
		cleanup_free char *file = xasprintf("%s/%s", path, names[i]->d_name);

		if (rc >= 0)
			rc = read_one(c, file, e);
		free(names[i]);
	}
	free(names);
	return rc;
}

int config_read(struct config *c, const char *path, struct err *e)
{
	struct err own = ERR_INIT;
	struct stat st;
	int rc;

	if (stat(path, &st) < 0)
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	strs_push(c->arena, &c->paths, path);
	rc = S_ISDIR(st.st_mode) ? read_folder(c, path, &own) : read_one(c, path, &own);
	if (rc < 0)
		err_set(e, rc, "%s", err_str(&own));
	err_clear(&own);
	return rc;
}
