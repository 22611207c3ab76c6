/* Functions over files and networks, and those that look at their arguments before they are evaluated. */
#include <arpa/inet.h>
#include <glob.h>
#include <libgen.h>
#include <limits.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/hcl.h"
#include "base/uuid.h"

static struct hcl_value *string(struct hcl_call *c, const char *s)
{
	return hcl_string(c->h, s, strlen(s));
}

static bool allowed(struct hcl_call *c)
{
	if (!c->h->allow_files)
		hcl_call_error(c, "functions over files work on the command line only: the server does not read its own files for a job");
	return c->h->allow_files;
}

static struct hcl_value *fn_abspath(struct hcl_call *c)
{
	char cwd[PATH_MAX];
	cleanup_free char *joined = NULL;
	cleanup_buf struct buf out = BUF_INIT;

	if (!allowed(c))
		return NULL;
	if (c->args[0]->s[0] != '/' && getcwd(cwd, sizeof(cwd)))
		joined = path_join(cwd, c->args[0]->s);
	cleanup_free char *copy = xstrdup(joined ? joined : c->args[0]->s);

	/* "." and ".." are taken out of the text; links are not followed. */
	for (char *rest = copy, *part; (part = strsep(&rest, "/"));) {
		if (!*part || str_eq(part, "."))
			continue;
		if (str_eq(part, "..")) {
			char *slash = out.len ? strrchr(out.data, '/') : NULL;

			if (slash)
				out.len = (size_t)(slash - out.data), *slash = 0;
			continue;
		}
		buf_printf(&out, "/%s", part);
	}
	return string(c, out.len ? out.data : "/");
}

static struct hcl_value *fn_basename(struct hcl_call *c)
{
	cleanup_free char *copy = xstrdup(c->args[0]->s);

	return allowed(c) ? string(c, basename(copy)) : NULL;
}

static struct hcl_value *fn_dirname(struct hcl_call *c)
{
	cleanup_free char *copy = xstrdup(c->args[0]->s);

	return allowed(c) ? string(c, dirname(copy)) : NULL;
}

/* "~/x" becomes a path below the home folder. */
static char *expand(const char *path)
{
	const char *home = getenv("HOME");

	if (path[0] != '~' || (path[1] && path[1] != '/'))
		return xstrdup(path);
	return xasprintf("%s%s", home ? home : "", path + 1);
}

static struct hcl_value *fn_pathexpand(struct hcl_call *c)
{
	cleanup_free char *path = expand(c->args[0]->s);

	return allowed(c) ? string(c, path) : NULL;
}

static bool read_file(struct hcl_call *c, struct buf *out)
{
	cleanup_err struct err e = ERR_INIT;
	cleanup_free char *path = expand(c->args[0]->s);

	if (!allowed(c))
		return false;
	if (file_read(path, HCL_MAX_STRING, out, &e) < 0) {
		hcl_call_error(c, "no file exists at \"%s\", or it cannot be read: %s", path, err_str(&e));
		return false;
	}
	return true;
}

static struct hcl_value *fn_file(struct hcl_call *c)
{
	cleanup_buf struct buf b = BUF_INIT;

	if (!read_file(c, &b))
		return NULL;
	if (b.len && hcl_bad_text(b.data, b.len) < b.len)
		return hcl_call_error(c, "%s is not UTF-8; filebase64 reads such files", c->args[0]->s);
	return hcl_string(c->h, b.len ? b.data : "", b.len);
}

static struct hcl_value *fn_filebase64(struct hcl_call *c)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	cleanup_buf struct buf b = BUF_INIT, out = BUF_INIT;

	if (!read_file(c, &b))
		return NULL;
	for (size_t i = 0; i < b.len; i += 3) {
		const unsigned char *s = (unsigned char *)b.data + i;
		size_t n = MIN(b.len - i, (size_t)3);
		uint32_t v = (uint32_t)s[0] << 16 | (n > 1 ? (uint32_t)s[1] << 8 : 0) | (n > 2 ? s[2] : 0);

		buf_putc(&out, alphabet[v >> 18]);
		buf_putc(&out, alphabet[v >> 12 & 63]);
		buf_putc(&out, n > 1 ? alphabet[v >> 6 & 63] : '=');
		buf_putc(&out, n > 2 ? alphabet[v & 63] : '=');
	}
	return hcl_string(c->h, out.len ? out.data : "", out.len);
}

static struct hcl_value *fn_fileexists(struct hcl_call *c)
{
	cleanup_free char *path = expand(c->args[0]->s);
	struct stat st;

	if (!allowed(c))
		return NULL;
	if (stat(path, &st) < 0)
		return hcl_bool(c->h, false);
	return S_ISREG(st.st_mode) ? hcl_bool(c->h, true) : hcl_call_error(c, "%s is not a regular file", path);
}

/* fileset(folder, pattern): regular files that match, relative to the folder. ** matches any depth. */
static struct hcl_value *fn_fileset(struct hcl_call *c)
{
	cleanup_free char *folder = expand(c->args[0]->s), *pattern = path_join(folder, c->args[1]->s);
	struct hcl_value **items = NULL, *out;
	uint32_t n = 0, cap = 0;

	if (!allowed(c))
		return NULL;
	/* glob(3) has no **: it is tried as no folder, one folder, two, ... */
	for (int depth = 0; depth < (strstr(pattern, "**") ? 8 : 1); depth++) {
		cleanup_buf struct buf p = BUF_INIT;
		glob_t g;

		for (const char *s = pattern; *s; s++) {
			if (strncmp(s, "**/", 3) == 0) {
				for (int i = 0; i < depth; i++)
					buf_puts(&p, "*/");
				s += 2;
			} else {
				buf_putc(&p, *s);
			}
		}
		if (glob(p.data, 0, NULL, &g) == 0) {
			for (size_t i = 0; i < g.gl_pathc; i++) {
				struct stat st;

				if (stat(g.gl_pathv[i], &st) < 0 || !S_ISREG(st.st_mode))
					continue;
				if (n == cap)
					items = xrealloc(items, cap = cap ? 2 * cap : 16, sizeof(*items));
				const char *name = g.gl_pathv[i] + strlen(folder);

				items[n++] = string(c, name + (*name == '/'));
			}
			globfree(&g);
		}
	}
	out = hcl_set(c->h, &hcl_type_string, items, n);
	free(items);
	return out;
}

/* ---- networks ---- */

struct cidr {
	int family, bits; /* AF_INET or AF_INET6; of the prefix */
	unsigned char a[16];
};

static bool read_cidr(struct hcl_call *c, struct cidr *out)
{
	char host[64];
	const char *slash = strchr(c->args[0]->s, '/');
	char *end;

	memset(out, 0, sizeof(*out));
	if (slash && (size_t)(slash - c->args[0]->s) < sizeof(host)) {
		snprintf(host, sizeof(host), "%.*s", (int)(slash - c->args[0]->s), c->args[0]->s);
		out->family = strchr(host, ':') ? AF_INET6 : AF_INET;
		out->bits = (int)strtol(slash + 1, &end, 10);
		if (inet_pton(out->family, host, out->a) == 1 && !*end && end > slash + 1 && out->bits >= 0 &&
		    out->bits <= (out->family == AF_INET ? 32 : 128))
			return true;
	}
	hcl_call_error(c, "invalid CIDR expression: \"%s\" is not like 10.1.2.0/24", c->args[0]->s);
	return false;
}

static int width(const struct cidr *n)
{
	return n->family == AF_INET ? 32 : 128;
}

/* Clears the bits after the prefix, then adds number << shift. */
static void mask_and_add(struct cidr *n, int bits, unsigned __int128 number, int shift)
{
	int bytes = width(n) / 8;
	unsigned __int128 v = 0, sum;

	for (int i = 0; i < bytes; i++)
		v = v << 8 | n->a[i];
	int free_bits = width(n) - bits;

	v = free_bits >= 128 ? 0 : v >> free_bits << free_bits;
	sum = v + (shift >= 128 ? 0 : number << shift);
	for (int i = bytes; i-- > 0; sum >>= 8)
		n->a[i] = (unsigned char)sum;
}

static struct hcl_value *put_address(struct hcl_call *c, const struct cidr *n, bool prefix)
{
	char text[INET6_ADDRSTRLEN + 8];

	inet_ntop(n->family, n->a, text, sizeof(text));
	if (prefix)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "/%d", n->bits);
	return string(c, text);
}

static struct hcl_value *fn_cidrhost(struct hcl_call *c)
{
	struct cidr n;
	int64_t host;

	if (!read_cidr(c, &n))
		return NULL;
	int free_bits = width(&n) - n.bits;

	if (!hcl_number_int(c->args[1], &host))
		return hcl_call_error(c, "the host number must be a whole number");
	unsigned __int128 size = free_bits >= 127 ? (unsigned __int128)1 << 127 : (unsigned __int128)1 << free_bits;
	unsigned __int128 at = host < 0 ? size - (unsigned __int128)(-host) : (unsigned __int128)host;

	if (host < 0 ? (unsigned __int128)(-host) > size : at >= size)
		return hcl_call_error(c, "a prefix of %d bits leaves no room for host %lld", n.bits, (long long)host);
	mask_and_add(&n, n.bits, at, 0);
	return put_address(c, &n, false);
}

static struct hcl_value *fn_cidrnetmask(struct hcl_call *c)
{
	struct cidr n;

	if (!read_cidr(c, &n))
		return NULL;
	memset(n.a, 0xff, sizeof(n.a));
	mask_and_add(&n, n.bits, 0, 0);
	return put_address(c, &n, false);
}

static struct hcl_value *subnet(struct hcl_call *c, struct cidr n, int64_t more, unsigned __int128 number)
{
	int bits = n.bits + (int)more;

	if (more < 0 || bits > width(&n))
		return hcl_call_error(c, "no room for a prefix of %d bits in /%d", bits, n.bits);
	if (more < 128 && number >> more)
		return hcl_call_error(c, "%lld more bits leave no room for subnet %llu", (long long)more,
		    (unsigned long long)number);
	mask_and_add(&n, n.bits, number, width(&n) - bits);
	n.bits = bits;
	return put_address(c, &n, true);
}

static struct hcl_value *fn_cidrsubnet(struct hcl_call *c)
{
	struct cidr n;
	int64_t more, number;

	if (!read_cidr(c, &n))
		return NULL;
	if (!hcl_number_int(c->args[1], &more) || !hcl_number_int(c->args[2], &number) || number < 0 || more > 128)
		return hcl_call_error(c, "new bits and network number must be whole numbers from 0");
	return subnet(c, n, more, (unsigned __int128)number);
}

/* Consecutive networks of the given sizes, each at the next place where it is aligned. */
static struct hcl_value *fn_cidrsubnets(struct hcl_call *c)
{
	struct hcl_value **out = arena_alloc(c->h->arena, c->n * sizeof(*out));
	unsigned __int128 next = 0; /* first free address, in units of one address */
	struct cidr n;

	if (!read_cidr(c, &n))
		return NULL;
	for (uint32_t i = 1; i < c->n; i++) {
		int64_t more;

		if (!hcl_number_int(c->args[i], &more) || more < 1 || n.bits + more > width(&n))
			return hcl_call_error(c, "each size must extend the prefix by at least 1 and at most %d bits", width(&n) - n.bits);
		int shift = width(&n) - n.bits - (int)more;
		unsigned __int128 size = shift >= 127 ? (unsigned __int128)1 << 127 : (unsigned __int128)1 << shift;
		unsigned __int128 at = (next + size - 1) / size;

		out[i - 1] = subnet(c, n, more, at);
		if (!out[i - 1])
			return NULL;
		next = (at + 1) * size;
	}
	return hcl_list(c->h, &hcl_type_string, out, c->n - 1);
}

/* ---- ids ---- */

/* Version 5 of RFC 4122 for the four namespaces of the RFC, through sha1. */
static struct hcl_value *fn_uuidv5(struct hcl_call *c)
{
	static const struct {
		const char *name, *id;
	} spaces[] = {{"dns", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"}, {"url", "6ba7b811-9dad-11d1-80b4-00c04fd430c8"},
	    {"oid", "6ba7b812-9dad-11d1-80b4-00c04fd430c8"}, {"x500", "6ba7b814-9dad-11d1-80b4-00c04fd430c8"}};
	const char *space = c->args[0]->s;
	struct uuid u;
	unsigned char bytes[16];

	for (size_t i = 0; i < ARRAY_LEN(spaces); i++)
		if (str_eq(spaces[i].name, space))
			space = spaces[i].id;
	if (uuid_parse(space, &u) < 0)
		return hcl_call_error(c, "the namespace must be dns, url, oid, x500 or a UUID");
	for (int i = 0; i < 8; i++) {
		bytes[i] = (unsigned char)(u.hi >> (56 - 8 * i));
		bytes[8 + i] = (unsigned char)(u.lo >> (56 - 8 * i));
	}
	cleanup_buf struct buf input = BUF_INIT;

	buf_put(&input, bytes, 16);
	buf_put(&input, c->args[1]->s, c->args[1]->n);
	struct hcl_value raw = {.kind = HCL_STRING, .s = input.data, .n = (uint32_t)input.len}, *arg = &raw, *sum = NULL;
	struct hcl_call sha1 = *c;

	sha1.args = &arg;
	sha1.n = 1;
	for (const struct hcl_func *f = hcl_funcs_encoding; f->name; f++)
		if (str_eq(f->name, "sha1"))
			sum = f->fn(&sha1);
	if (!sum)
		return NULL;
	char digits[33];

	snprintf(digits, sizeof(digits), "%.32s", sum->s);
	digits[12] = '5';
	digits[16] = "89ab"[(digits[16] <= '9' ? digits[16] - '0' : digits[16] - 'a' + 10) & 3];
	return string(c, arena_printf(c->h->arena, "%.8s-%.4s-%.4s-%.4s-%.12s", digits, digits + 8, digits + 12, digits + 16, digits + 20));
}

/* ---- arguments that may fail ---- */

static struct hcl_value *fn_can(struct hcl_call *c)
{
	if (c->expr->n != 1)
		return hcl_call_error(c, "takes one argument");
	return hcl_bool(c->h, hcl_attempt(c->h, c->expr->a[0], c->scope) != NULL);
}

static struct hcl_value *fn_try(struct hcl_call *c)
{
	for (uint32_t i = 0; i < c->expr->n; i++) {
		struct hcl_value *v = hcl_attempt(c->h, c->expr->a[i], c->scope);

		if (v)
			return v;
	}
	return hcl_call_error(c, "none of its arguments works");
}

static struct hcl_value *fn_convert(struct hcl_call *c)
{
	if (c->expr->n != 2)
		return hcl_call_error(c, "takes a value and a type");
	const struct hcl_type *t = hcl_type_parse(c->h, c->expr->a[1]);
	struct hcl_value *v = t ? hcl_eval(c->h, c->expr->a[0], c->scope) : NULL;
	const char *why = "";

	if (!v)
		return NULL;
	struct hcl_value *made = hcl_as(c->h, t, v, &why);

	return made ? made : hcl_call_error(c, "%s", why);
}

static struct hcl_value *to_kind(struct hcl_call *c, enum hcl_kind kind, const char *name)
{
	struct hcl_value *v = hcl_to(c->h, kind, c->args[0]);

	return v ? v : hcl_call_error(c, "a %s cannot be converted to %s", hcl_kind_name(c->args[0]), name);
}

static struct hcl_value *fn_tostring(struct hcl_call *c)
{
	return to_kind(c, HCL_STRING, "string");
}

static struct hcl_value *fn_tonumber(struct hcl_call *c)
{
	return to_kind(c, HCL_NUMBER, "number");
}

static struct hcl_value *fn_tobool(struct hcl_call *c)
{
	return to_kind(c, HCL_BOOL, "bool");
}

const struct hcl_func hcl_funcs_system[] = {
    {"abspath", "s", fn_abspath},
    {"basename", "s", fn_basename},
    {"can", NULL, fn_can},
    {"cidrhost", "sn", fn_cidrhost},
    {"cidrnetmask", "s", fn_cidrnetmask},
    {"cidrsubnet", "snn", fn_cidrsubnet},
    {"cidrsubnets", "sn*", fn_cidrsubnets},
    {"convert", NULL, fn_convert},
    {"dirname", "s", fn_dirname},
    {"file", "s", fn_file},
    {"filebase64", "s", fn_filebase64},
    {"fileexists", "s", fn_fileexists},
    {"fileset", "ss", fn_fileset},
    {"pathexpand", "s", fn_pathexpand},
    {"tobool", "A", fn_tobool},
    {"tonumber", "A", fn_tonumber},
    {"tostring", "A", fn_tostring},
    {"try", NULL, fn_try},
    {"uuidv5", "ss", fn_uuidv5},
    {NULL, NULL, NULL},
};
