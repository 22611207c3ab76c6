/*
 * tls: one SSL_CTX, and the functions of OpenSSL and libevent_openssl that it takes.
 */
#include "daemon/tls.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/log.h"
#include "base/util.h"

#define LIBRARY "libevent_openssl-2.1.so.7" /* brings libssl and libcrypto */

struct tls {
	SSL_CTX *ctx;
};

static struct {
	const SSL_METHOD *(*server_method)(void);
	SSL_CTX *(*ctx_new)(const SSL_METHOD *);
	void (*ctx_free)(SSL_CTX *);
	long (*ctx_ctrl)(SSL_CTX *, int, long, void *);
	uint64_t (*ctx_set_options)(SSL_CTX *, uint64_t);
	int (*use_chain)(SSL_CTX *, const char *);
	int (*use_key)(SSL_CTX *, const char *, int);
	int (*check_key)(const SSL_CTX *);
	int (*load_ca)(SSL_CTX *, const char *, const char *);
	STACK_OF(X509_NAME) *(*load_names)(const char *);
	void (*set_names)(SSL_CTX *, STACK_OF(X509_NAME) *);
	void (*set_verify)(SSL_CTX *, int, SSL_verify_cb);
	int (*set_session_context)(SSL_CTX *, const unsigned char *, unsigned);
	SSL *(*ssl_new)(SSL_CTX *);
	unsigned long (*last_error)(void);
	void (*clear_errors)(void);
	void (*error_text)(unsigned long, char *, size_t);
	struct bufferevent *(*bufferevent_new)(struct event_base *, evutil_socket_t, struct ssl_st *, enum bufferevent_ssl_state, int);
} f;

static const struct {
	const char *name;
	void **slot;
} symbols[] = {
    {"TLS_server_method", (void **)&f.server_method},
    {"SSL_CTX_new", (void **)&f.ctx_new},
    {"SSL_CTX_free", (void **)&f.ctx_free},
    {"SSL_CTX_ctrl", (void **)&f.ctx_ctrl},
    {"SSL_CTX_set_options", (void **)&f.ctx_set_options},
    {"SSL_CTX_use_certificate_chain_file", (void **)&f.use_chain},
    {"SSL_CTX_use_PrivateKey_file", (void **)&f.use_key},
    {"SSL_CTX_check_private_key", (void **)&f.check_key},
    {"SSL_CTX_load_verify_locations", (void **)&f.load_ca},
    {"SSL_load_client_CA_file", (void **)&f.load_names},
    {"SSL_CTX_set_client_CA_list", (void **)&f.set_names},
    {"SSL_CTX_set_verify", (void **)&f.set_verify},
    {"SSL_CTX_set_session_id_context", (void **)&f.set_session_context},
    {"SSL_new", (void **)&f.ssl_new},
    {"ERR_peek_last_error", (void **)&f.last_error},
    {"ERR_clear_error", (void **)&f.clear_errors},
    {"ERR_error_string_n", (void **)&f.error_text},
    {"bufferevent_openssl_socket_new", (void **)&f.bufferevent_new},
};

static int load(struct err *e)
{
	static void *library;

	if (library)
		return 0;
	library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (!library)
		return err_set(e, -ENOENT, "TLS needs libevent's OpenSSL part, and it cannot be loaded (%s); install the package "
		    "libevent-openssl-2.1-7 or libevent", dlerror());
	for (size_t i = 0; i < ARRAY_LEN(symbols); i++) {
		*symbols[i].slot = dlsym(library, symbols[i].name);
		if (*symbols[i].slot)
			continue;
		dlclose(STEAL(library));
		return err_set(e, -ENOSYS, "OpenSSL is too old: it lacks %s", symbols[i].name);
	}
	return 0;
}

/* "tls { cert_file }: /etc/x.pem: no start line" */
static int fail(struct err *e, const char *option, const char *path)
{
	char text[256] = "it cannot be used";
	unsigned long code = f.last_error();

	if (code)
		f.error_text(code, text, sizeof(text));
	return err_set(e, -EINVAL, "tls { %s }: %s: %s", option, path, text);
}

static int check_file(const char *option, const char *path, struct err *e)
{
	struct stat st;

	if (str_empty(path))
		return err_set(e, -EINVAL, "tls { %s } is needed", option);
	if (access(path, R_OK) < 0 || stat(path, &st) < 0)
		return err_set(e, -errno, "tls { %s }: %s: %s", option, path, strerror(errno));
	if (str_eq(option, "key_file") && st.st_mode & 077)
		log_warn("agent", "tls { key_file }: %s can be read by others than its owner; chmod 600 it", path);
	return 0;
}

static int use_files(SSL_CTX *ctx, const struct tls_config *c, struct err *e)
{
	int rc = check_file("cert_file", c->cert_file, e);

	if (rc >= 0)
		rc = check_file("key_file", c->key_file, e);
	if (rc >= 0 && (c->verify_client || !str_empty(c->ca_file)))
		rc = check_file("ca_file", c->ca_file, e);
	if (rc < 0)
		return rc;
	f.clear_errors();
	if (f.use_chain(ctx, c->cert_file) != 1)
		return fail(e, "cert_file", c->cert_file);
	if (f.use_key(ctx, c->key_file, SSL_FILETYPE_PEM) != 1 || f.check_key(ctx) != 1)
		return fail(e, "key_file", c->key_file);
	if (!c->verify_client)
		return 0;
	if (f.load_ca(ctx, c->ca_file, NULL) != 1)
		return fail(e, "ca_file", c->ca_file);
	f.set_names(ctx, f.load_names(c->ca_file));
	f.set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	return 0;
}

int tls_new(const struct tls_config *c, struct tls **out, struct err *e)
{
	static const unsigned char session_context[] = "drover";
	int oldest = str_eq(c->min_version, "tls13") ? TLS1_3_VERSION : TLS1_2_VERSION;
	SSL_CTX *ctx;
	int rc = load(e);

	if (rc < 0)
		return rc;
	ctx = f.ctx_new(f.server_method());
	if (!ctx)
		die("out of memory");
	f.ctx_ctrl(ctx, SSL_CTRL_SET_MIN_PROTO_VERSION, oldest, NULL);
	f.ctx_ctrl(ctx, SSL_CTRL_MODE, SSL_MODE_RELEASE_BUFFERS, NULL); /* an idle connection holds no 34 KB */
	f.ctx_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
	f.set_session_context(ctx, session_context, sizeof(session_context) - 1);
	rc = use_files(ctx, c, e);
	if (rc < 0) {
		f.ctx_free(ctx);
		return rc;
	}
	*out = xcalloc(1, sizeof(**out));
	(*out)->ctx = ctx;
	return 0;
}

void tls_free(struct tls *t)
{
	if (!t)
		return;
	f.ctx_free(t->ctx);
	free(t);
}

struct bufferevent *tls_accept(struct tls *t, struct event_base *base)
{
	SSL *ssl = f.ssl_new(t->ctx);

	return ssl ? f.bufferevent_new(base, -1, ssl, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE) : NULL;
}
