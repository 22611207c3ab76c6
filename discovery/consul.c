#include "discovery/consul_internal.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <strings.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/file.h"

#define MAX_CALLS 1024
#define MAX_TOKEN 4096

/* ---- configuration ---- */

static bool is_on(const char *word)
{
	return word && (str_eq(word, "1") || str_eq(word, "t") || strcasecmp(word, "true") == 0);
}

static bool is_off(const char *word)
{
	return word && (str_eq(word, "0") || str_eq(word, "f") || strcasecmp(word, "false") == 0);
}

void consul_config_defaults(struct consul_config *c, struct arena *a)
{
	const struct {
		const char *variable, **field;
	} texts[] = {
	    {"CONSUL_CACERT", &c->tls.ca_file},
	    {"CONSUL_CAPATH", &c->tls.ca_path},
	    {"CONSUL_CLIENT_CERT", &c->tls.cert_file},
	    {"CONSUL_CLIENT_KEY", &c->tls.key_file},
	    {"CONSUL_TLS_SERVER_NAME", &c->tls.server_name},
	};
	const char *address = getenv("CONSUL_HTTP_ADDR"), *token_file = getenv("CONSUL_HTTP_TOKEN_FILE"),
		   *token = getenv("CONSUL_HTTP_TOKEN");

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (!*texts[i].field && !str_empty(getenv(texts[i].variable)))
			*texts[i].field = arena_strdup(a, getenv(texts[i].variable));
	if (!c->token && !c->token_file) {
		c->token_file = str_empty(token_file) ? NULL : arena_strdup(a, token_file);
		c->token = str_empty(token) ? NULL : arena_strdup(a, token);
	}
	if (c->address)
		return;
	if (str_empty(address))
		address = "127.0.0.1:8500";
	/* What weakens the check of a peer belongs to the address beside which it was written. */
	if (is_off(getenv("CONSUL_HTTP_SSL_VERIFY")))
		c->tls.skip_verify = true;
	c->address = is_on(getenv("CONSUL_HTTP_SSL")) && !strstr(address, "://") ? arena_printf(a, "https://%s", address)
										   : arena_strdup(a, address);
}

static int read_address(struct consul *c, const char *text, struct err *e)
{
	const char *host = strstr(text, "://");

	c->shown = arena_strdup(c->arena, text);
	if (str_starts(text, "unix://")) {
		if (text[7] != '/')
			return err_set(e, -EINVAL, "the Consul address \"%s\" has no absolute path; expected unix:///path", text);
		c->unix_socket = arena_strdup(c->arena, text + 7);
		c->url = "http://localhost";
		return 0;
	}
	if (host && !str_starts(text, "http://") && !str_starts(text, "https://"))
		return err_set(e, -EINVAL,
		    "the Consul address \"%s\" has an unknown scheme; expected host:port, http://, https:// or unix:///", text);
	host = host ? host + 3 : text;
	size_t n = strcspn(host, "/?#@ \t\r\n");

	if (!n || (host[n] && !str_eq(host + n, "/")))
		return err_set(e, -EINVAL, "the Consul address \"%s\" is none; expected host:port", text);
	cleanup_free char *place = xstrndup(host, n);
	const char *colon = strrchr(place, ':');
	bool has_port = colon && !strchr(colon, ']');

	if (host == text)
		c->url = arena_printf(c->arena, "http://%s%s", place, has_port ? "" : ":8500");
	else
		c->url = arena_printf(c->arena, "%.*s%s", (int)(host - text), text, place);
	return 0;
}

static struct fetch_tls own_tls(struct arena *a, const struct fetch_tls *t)
{
	return (struct fetch_tls){.ca_file = arena_strdup(a, t->ca_file),
	    .ca_path = arena_strdup(a, t->ca_path),
	    .cert_file = arena_strdup(a, t->cert_file),
	    .key_file = arena_strdup(a, t->key_file),
	    .server_name = arena_strdup(a, t->server_name),
	    .skip_verify = t->skip_verify};
}

static int check_token(const char *token, const char *whence, struct err *e)
{
	if (!*token)
		return err_set(e, -EINVAL, "%s is empty; expected a Consul token", whence);
	for (const char *p = token; *p; p++)
		if (*p <= ' ' || *p > '~')
			return err_set(e, -EINVAL, "%s holds a character that no Consul token has", whence);
	return 0;
}

int consul_new(struct fetcher *fetcher, const struct consul_config *config, struct consul **out, struct err *e)
{
	struct consul *c = xcalloc(1, sizeof(*c));
	int rc;

	c->arena = arena_new();
	c->fetcher = fetcher;
	c->base = fetcher ? fetcher_base(fetcher) : NULL;
	c->datacenter = str_empty(config->datacenter) ? NULL : arena_strdup(c->arena, config->datacenter);
	c->token_file = str_empty(config->token_file) ? NULL : arena_strdup(c->arena, config->token_file);
	c->token = str_empty(config->token) || c->token_file ? NULL : xstrdup(config->token);
	c->tls = own_tls(c->arena, &config->tls);
	TAILQ_INIT(&c->calls);
	TAILQ_INIT(&c->watches);
	pthread_mutex_init(&c->lock, NULL);
	if (getrandom(&c->random, sizeof(c->random), GRND_NONBLOCK) < 0)
		c->random = (uint64_t)clock_monotonic();
	c->random |= 1;
	rc = read_address(c, config->address ? config->address : "127.0.0.1:8500", e);
	if (!rc && c->token)
		rc = check_token(c->token, "the Consul token", e);
	if (rc < 0) {
		consul_free(c);
		return rc;
	}
	*out = c;
	return 0;
}

void consul_free(struct consul *c)
{
	if (!c)
		return;
	consul_watch_end_all(c);
	while (!TAILQ_EMPTY(&c->calls))
		consul_cancel(TAILQ_FIRST(&c->calls));
	consul_wipe(c->token);
	pthread_mutex_destroy(&c->lock);
	arena_free(c->arena);
	free(c);
}

const char *consul_address(const struct consul *c)
{
	return c->shown;
}

void consul_stats(struct consul *c, struct consul_stats *out)
{
	pthread_mutex_lock(&c->lock);
	*out = c->stats;
	pthread_mutex_unlock(&c->lock);
}

int64_t consul_jitter(struct consul *c, int64_t d)
{
	c->random ^= c->random << 13; /* Marsaglia's xorshift */
	c->random ^= c->random >> 7;
	c->random ^= c->random << 17;
	return d - d / 4 + (int64_t)(c->random % (uint64_t)MAX(d / 2, 1));
}

/* ---- the token ---- */

void consul_wipe(char *secret)
{
	if (secret)
		explicit_bzero(secret, strlen(secret));
	free(secret);
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
	    a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	    a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static int read_token_file(struct consul *c, struct err *e)
{
	struct buf text = BUF_INIT;
	struct stat now;
	int rc;

	if (stat(c->token_file, &now) < 0)
		return err_set(e, -errno, "token_file %s: %s", c->token_file, strerror(errno));
	if (c->token && same_file(&now, &c->token_stat))
		return 0;
	rc = file_read(c->token_file, MAX_TOKEN, &text, e);
	if (rc == 0) {
		char *token = buf_take(&text);
		size_t from = strspn(token, " \t\r\n"), n = strlen(token);

		while (n > from && strchr(" \t\r\n", token[n - 1]))
			token[--n] = 0;
		rc = check_token(token + from, c->token_file, e);
		if (rc == 0) {
			consul_wipe(c->token);
			c->token = xstrdup(token + from);
			c->token_stat = now;
		}
		consul_wipe(token);
	}
	buf_free(&text);
	return rc;
}

/* While a token file is being replaced there may be none, or half of one: the token that was read before stays good. */
int consul_token(struct consul *c, char **out, struct err *e)
{
	int rc = 0;

	pthread_mutex_lock(&c->lock);
	if (c->token_file)
		rc = read_token_file(c, e);
	if (rc < 0 && c->token) {
		err_clear(e);
		rc = 0;
	}
	if (rc == 0)
		*out = c->token ? xstrdup(c->token) : NULL;
	pthread_mutex_unlock(&c->lock);
	return rc;
}

/* ---- calls on the loop ---- */

struct consul_call {
	TAILQ_ENTRY(consul_call) list;
	struct consul *owner; /* NULL while done is called */
	struct fetch *fetch;
	struct event *failed; /* a call that could not be made: reported from the loop all the same */
	struct err err;
	struct consul_request request;
	consul_done_fn *done;
	void *arg;
};

static void call_unlink(struct consul_call *call)
{
	TAILQ_REMOVE(&call->owner->calls, call, list);
	call->owner->n_calls--;
	call->owner = NULL;
}

static void call_free(struct consul_call *call)
{
	if (call->failed)
		event_free(call->failed);
	err_clear(&call->err);
	consul_request_free(&call->request);
	free(call);
}

static void finish(struct consul_call *call, struct consul_answer *answer)
{
	call_unlink(call);
	call->done(call->arg, answer);
	err_clear(&answer->err);
	arena_free(answer->arena);
	call_free(call);
}

void consul_on_return(struct consul *c, void (*fn)(void *arg), void *arg)
{
	c->on_return = fn;
	c->on_return_arg = arg;
}

static void note_reach(struct consul *c, bool answered)
{
	bool back = c->away && answered;

	c->away = !answered;
	if (!back)
		return;
	consul_watch_hurry_all(c);
	if (c->on_return)
		c->on_return(c->on_return_arg);
}

static void on_answer(void *arg, struct fetch_answer *in)
{
	struct consul_call *call = arg;
	struct consul_answer answer = {0};

	consul_request_judge(call->owner, &call->request, in, &answer);
	note_reach(call->owner, answer.status != 0);
	finish(call, &answer);
}

static void on_failed(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	struct consul_call *call = arg;
	struct consul_answer answer = {.err = call->err};

	call->err = ERR_INIT;
	finish(call, &answer);
}

struct consul_call *consul_call(
    struct consul *c, const struct consul_op *op, const struct consul_args *args, consul_done_fn *done, void *arg)
{
	struct consul_call *call = xcalloc(1, sizeof(*call));

	call->owner = c;
	call->done = done;
	call->arg = arg;
	TAILQ_INSERT_TAIL(&c->calls, call, list);
	if (++c->n_calls > MAX_CALLS)
		err_set(&call->err, -EBUSY, "Consul %s, %s: %d calls are under way already", c->shown, op->words, MAX_CALLS);
	else
		consul_request_init(&call->request, c, op, args, &call->err);
	if (!call->err.code) {
		call->fetch = fetch_start(c->fetcher, &call->request.fetch, on_answer, call);
		return call;
	}
	call->failed = evtimer_new(c->base, on_failed, call);
	event_active(call->failed, EV_TIMEOUT, 0);
	return call;
}

void consul_cancel(struct consul_call *call)
{
	if (!call || !call->owner)
		return;
	fetch_cancel(call->fetch);
	call_unlink(call);
	call_free(call);
}

void *consul_object(const struct consul_answer *answer, const struct type *type)
{
	assert(!answer->object || answer->type == type);
	return answer->object;
}

struct arena *consul_keep(const struct consul_answer *answer)
{
	struct consul_answer *a = (struct consul_answer *)answer; /* const is for what callbacks may change otherwise */

	return STEAL(a->arena);
}

/* ---- calls from a thread ---- */

struct consul_channel {
	struct consul *consul;
	struct fetch_channel *fetch;
};

struct consul_channel *consul_channel_new(struct consul *c)
{
	struct consul_channel *ch = xcalloc(1, sizeof(*ch));

	ch->consul = c;
	ch->fetch = fetch_channel_new();
	return ch;
}

void consul_channel_free(struct consul_channel *ch)
{
	if (!ch)
		return;
	fetch_channel_free(ch->fetch);
	free(ch);
}

void consul_channel_stop(struct consul_channel *ch)
{
	fetch_channel_stop(ch->fetch);
}

int consul_channel_call(
    struct consul_channel *ch, const struct consul_op *op, const struct consul_args *args, struct consul_answer *out)
{
	struct consul_request r;
	struct fetch_answer in;

	memset(out, 0, sizeof(*out));
	if (consul_request_init(&r, ch->consul, op, args, &out->err) == 0) {
		fetch_channel_do(ch->fetch, &r.fetch, &in);
		consul_request_judge(ch->consul, &r, &in, out);
		out->raw = buf_take(&in.body);
		fetch_answer_free(&in);
	}
	consul_request_free(&r);
	return out->err.code;
}

void consul_answer_free(struct consul_answer *answer)
{
	err_clear(&answer->err);
	arena_free(answer->arena);
	free((char *)answer->raw);
	memset(answer, 0, sizeof(*answer));
}
