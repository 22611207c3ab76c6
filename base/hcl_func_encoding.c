/* Functions that encode, decode and digest: JSON, CSV, base64, URLs, hashes. */
#include <crypt.h>
#include <ctype.h>
#include <dlfcn.h>
#include <jansson.h>

#include "base/hcl.h"
#include "base/json.h"

static struct hcl_value *text(struct hcl_call *c, const struct buf *b)
{
	if (b->full || b->len > HCL_MAX_STRING)
		return hcl_call_error(c, "the result is longer than 16 MiB");
	return hcl_string(c->h, b->len ? b->data : "", b->len);
}

/* ---- JSON ---- */

static struct hcl_value *fn_jsonencode(struct hcl_call *c)
{
	cleanup_buf struct buf b = BUF_INIT;

	buf_init(&b, HCL_MAX_STRING);
	hcl_put_json(c->h, &b, c->args[0]);
	return text(c, &b);
}

static struct hcl_value *fn_jsondecode(struct hcl_call *c)
{
	json_error_t error;
	json_t *j = json_read(c->args[0]->s, c->args[0]->n, JSON_DECODE_ANY, &error);

	if (!j)
		return hcl_call_error(c, "the string is no JSON: line %d, column %d: %s", error.line, error.column, error.text);
	struct hcl_value *v = hcl_from_value(c->h, value_from_json(c->h->arena, j));

	json_decref(j);
	return v;
}

/* ---- CSV (RFC 4180) ---- */

struct row {
	struct hcl_value **cells;
	uint32_t n, cap;
};

static const char *read_cell(struct hcl_call *c, const char *p, struct buf *cell)
{
	if (*p != '"') {
		size_t n = strcspn(p, ",\r\n\"");

		if (p[n] == '"') {
			hcl_call_error(c, "bare \" in a field without quotes");
			return NULL;
		}
		buf_put(cell, p, n);
		return p + n;
	}
	for (p++; *p; p++) {
		if (*p == '"' && *++p != '"')
			return p;
		buf_putc(cell, *p);
	}
	hcl_call_error(c, "a quoted field has no end");
	return NULL;
}

static bool unique(struct hcl_call *c, const char *const *keys, uint32_t n)
{
	if (n == 1 && !*keys[0]) {
		hcl_call_error(c, "the first line with the names of the columns is missing");
		return false;
	}
	for (uint32_t i = 0; i < n; i++)
		for (uint32_t k = 0; k < i && n < 10000; k++)
			if (str_eq(keys[i], keys[k])) {
				hcl_call_error(c, "duplicate column name \"%s\"", keys[i]);
				return false;
			}
	return true;
}

/* One line; NULL at an error. */
static const char *read_row(struct hcl_call *c, const char *p, struct row *row)
{
	row->n = 0;
	for (;;) {
		cleanup_buf struct buf cell = BUF_INIT;

		p = read_cell(c, p, &cell);
		if (!p)
			return NULL;
		if (row->n == row->cap)
			row->cells = xrealloc(row->cells, row->cap = row->cap ? 2 * row->cap : 16, sizeof(*row->cells));
		row->cells[row->n++] = hcl_string(c->h, cell.len ? cell.data : "", cell.len);
		if (*p != ',')
			break;
		p++;
	}
	if (*p && *p != '\r' && *p != '\n') {
		hcl_call_error(c, "a quoted field is followed by more text");
		return NULL;
	}
	return p + strspn(p, "\r\n");
}

static struct hcl_value *fn_csvdecode(struct hcl_call *c)
{
	struct row head = {0}, row = {0};
	struct hcl_value **items = NULL, *out = NULL;
	uint32_t n = 0, cap = 0;
	const char *p = read_row(c, c->args[0]->s, &head);
	const char **keys = arena_alloc(c->h->arena, (head.n + 1) * sizeof(*keys));

	for (uint32_t i = 0; p && i < head.n; i++)
		keys[i] = head.cells[i]->s;
	if (p && !unique(c, keys, head.n))
		p = NULL;
	while (p && *p) {
		p = read_row(c, p, &row);
		if (p && row.n != head.n) {
			hcl_call_error(c, "record %u has %u fields, the header has %u", n + 1, row.n, head.n);
			p = NULL;
		}
		if (!p || hcl_over_budget(c->h, c->at))
			break;
		if (n == cap)
			items = xrealloc(items, cap = cap ? 2 * cap : 16, sizeof(*items));
		items[n++] = hcl_object(c->h, keys, row.cells, row.n);
	}
	if (p) {
		struct hcl_value *like = hcl_object(c->h, keys, head.cells, head.n);

		out = hcl_list(c->h, hcl_type_of(c->h, like), items, n);
	}
	free(items);
	free(head.cells);
	free(row.cells);
	return out;
}

/* ---- base64 and URLs ---- */

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static struct hcl_value *fn_base64encode(struct hcl_call *c)
{
	cleanup_buf struct buf b = BUF_INIT;
	const unsigned char *s = (const unsigned char *)c->args[0]->s;

	for (size_t n = c->args[0]->n; n > 0; s += 3, n -= MIN(n, (size_t)3)) {
		uint32_t v = (uint32_t)s[0] << 16 | (n > 1 ? (uint32_t)s[1] << 8 : 0) | (n > 2 ? s[2] : 0);

		buf_putc(&b, alphabet[v >> 18]);
		buf_putc(&b, alphabet[v >> 12 & 63]);
		buf_putc(&b, n > 1 ? alphabet[v >> 6 & 63] : '=');
		buf_putc(&b, n > 2 ? alphabet[v & 63] : '=');
	}
	return text(c, &b);
}

static bool decode64(const char *s, size_t n, struct buf *b)
{
	uint32_t bits = 0, have = 0;

	if (n % 4)
		return false;
	while (n && s[n - 1] == '=')
		n--;
	for (size_t i = 0; i < n; i++) {
		const char *at = s[i] ? strchr(alphabet, s[i]) : NULL;

		if (!at)
			return false;
		bits = bits << 6 | (uint32_t)(at - alphabet);
		have += 6;
		if (have >= 8) {
			have -= 8;
			buf_putc(b, (char)(bits >> have));
		}
	}
	return true;
}

static struct hcl_value *fn_base64decode(struct hcl_call *c)
{
	cleanup_buf struct buf b = BUF_INIT;

	if (!decode64(c->args[0]->s, c->args[0]->n, &b))
		return hcl_call_error(c, "the text is not base64");
	if (b.len && hcl_bad_text(b.data, b.len) < b.len)
		return hcl_call_error(c, "what it stands for is not UTF-8");
	return text(c, &b);
}

static struct hcl_value *fn_urlencode(struct hcl_call *c)
{
	cleanup_buf struct buf b = BUF_INIT;

	for (const unsigned char *s = (const unsigned char *)c->args[0]->s; *s; s++) {
		if (isalnum(*s) || strchr("-_.~", *s))
			buf_putc(&b, (char)*s);
		else if (*s == ' ')
			buf_putc(&b, '+');
		else
			buf_printf(&b, "%%%02X", *s);
	}
	return text(c, &b);
}

/* ---- digests: libcrypto, loaded when a job file asks for it; linking it would weigh on every agent ---- */

struct evp_md_st;
struct evp_pkey_st;
static struct {
	void *handle;
	const struct evp_md_st *(*get)(const char *name);
	int (*digest)(const void *data, size_t n, unsigned char *out, unsigned *out_n, const struct evp_md_st *md, void *engine);
	void *(*mem_new)(const void *p, int n);
	void (*mem_free)(void *bio);
	struct evp_pkey_st *(*read_key)(void *bio, void *out, void *password_fn, void *arg);
	void (*key_free)(struct evp_pkey_st *);
	void *(*ctx_new)(struct evp_pkey_st *, void *engine);
	void (*ctx_free)(void *);
	int (*decrypt_init)(void *);
	int (*decrypt)(void *, unsigned char *out, size_t *out_n, const unsigned char *in, size_t n);
} crypto;

static bool load_crypto(struct hcl_call *c)
{
	static const struct {
		const char *name;
		void **slot;
	} symbols[] = {
	    {"EVP_get_digestbyname", (void **)&crypto.get},
	    {"EVP_Digest", (void **)&crypto.digest},
	    {"BIO_new_mem_buf", (void **)&crypto.mem_new},
	    {"BIO_free_all", (void **)&crypto.mem_free},
	    {"PEM_read_bio_PrivateKey", (void **)&crypto.read_key},
	    {"EVP_PKEY_free", (void **)&crypto.key_free},
	    {"EVP_PKEY_CTX_new", (void **)&crypto.ctx_new},
	    {"EVP_PKEY_CTX_free", (void **)&crypto.ctx_free},
	    {"EVP_PKEY_decrypt_init", (void **)&crypto.decrypt_init},
	    {"EVP_PKEY_decrypt", (void **)&crypto.decrypt},
	};
	static const char *const names[] = {"libcrypto.so.3", "libcrypto.so.1.1"};

	for (size_t i = 0; !crypto.handle && i < ARRAY_LEN(names); i++)
		crypto.handle = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
	for (size_t i = 0; crypto.handle && i < ARRAY_LEN(symbols); i++)
		if (!*symbols[i].slot && !(*symbols[i].slot = dlsym(crypto.handle, symbols[i].name))) {
			hcl_call_error(c, "libcrypto lacks %s", symbols[i].name);
			return false;
		}
	if (!crypto.handle)
		hcl_call_error(c, "it needs libcrypto, and that cannot be loaded; install the package libssl3");
	return crypto.handle != NULL;
}

static struct hcl_value *digest(struct hcl_call *c, const char *name)
{
	unsigned char sum[64];
	unsigned n = 0;
	char hex[129];

	if (!load_crypto(c))
		return NULL;
	const struct evp_md_st *md = crypto.get(name);

	if (!md || !crypto.digest(c->args[0]->s, c->args[0]->n, sum, &n, md, NULL))
		return hcl_call_error(c, "libcrypto does not offer %s", name);
	for (unsigned i = 0; i < n; i++)
		snprintf(hex + 2 * i, 3, "%02x", sum[i]);
	return hcl_string(c->h, hex, 2 * n);
}

static struct hcl_value *fn_md5(struct hcl_call *c)
{
	return digest(c, "MD5");
}

static struct hcl_value *fn_sha1(struct hcl_call *c)
{
	return digest(c, "SHA1");
}

static struct hcl_value *fn_sha256(struct hcl_call *c)
{
	return digest(c, "SHA256");
}

static struct hcl_value *fn_sha512(struct hcl_call *c)
{
	return digest(c, "SHA512");
}

/* rsadecrypt(base64 of a PKCS #1 v1.5 ciphertext, private key as PEM) */
static struct hcl_value *fn_rsadecrypt(struct hcl_call *c)
{
	cleanup_buf struct buf cipher = BUF_INIT;
	unsigned char plain[2048];
	size_t n = sizeof(plain);

	if (!decode64(c->args[0]->s, c->args[0]->n, &cipher) || !cipher.len)
		return hcl_call_error(c, "the text is not base64");
	if (!load_crypto(c))
		return NULL;
	void *bio = crypto.mem_new(c->args[1]->s, (int)c->args[1]->n);
	struct evp_pkey_st *key = bio ? crypto.read_key(bio, NULL, NULL, (void *)"") : NULL;
	void *ctx = key ? crypto.ctx_new(key, NULL) : NULL;
	bool ok = ctx && crypto.decrypt_init(ctx) > 0 &&
	          crypto.decrypt(ctx, plain, &n, (unsigned char *)cipher.data, cipher.len) > 0;

	if (ctx)
		crypto.ctx_free(ctx);
	if (key)
		crypto.key_free(key);
	crypto.mem_free(bio);
	if (!key)
		return hcl_call_error(c, "the second argument is a private key in PEM form without a password");
	if (ok && hcl_bad_text((char *)plain, n) < n)
		return hcl_call_error(c, "the decrypted text is not valid UTF-8");
	return ok ? hcl_string(c->h, (char *)plain, n) : hcl_call_error(c, "the key does not fit the text");
}

static struct hcl_value *fn_bcrypt(struct hcl_call *c)
{
	struct crypt_data data = {0};
	char salt[CRYPT_GENSALT_OUTPUT_SIZE];
	int64_t cost = 10;

	if (c->n > 1 && (!hcl_number_int(c->args[1], &cost) || cost < 4 || cost > 15))
		return hcl_call_error(c, "the cost must be a whole number from 4 to 15");
	if (hcl_work(c->h, c->at, UINT64_C(64) << cost))
		return NULL;
	if (!crypt_gensalt_rn("$2a$", (unsigned long)cost, NULL, 0, salt, sizeof(salt)))
		return hcl_call_error(c, "no salt could be made");
	char *hash = crypt_r(c->args[0]->s, salt, &data);

	return hash && *hash == '$' ? hcl_string(c->h, hash, strlen(hash)) : hcl_call_error(c, "libcrypt does not offer bcrypt");
}

const struct hcl_func hcl_funcs_encoding[] = {
    {"base64decode", "s", fn_base64decode},
    {"base64encode", "s", fn_base64encode},
    {"bcrypt", "sn?", fn_bcrypt},
    {"csvdecode", "s", fn_csvdecode},
    {"jsondecode", "s", fn_jsondecode},
    {"jsonencode", "A", fn_jsonencode},
    {"md5", "s", fn_md5},
    {"rsadecrypt", "ss", fn_rsadecrypt},
    {"sha1", "s", fn_sha1},
    {"sha256", "s", fn_sha256},
    {"sha512", "s", fn_sha512},
    {"urlencode", "s", fn_urlencode},
    {NULL, NULL, NULL},
};
