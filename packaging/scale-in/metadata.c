#include "packaging/scale-in/metadata.h"

#include <errno.h>
#include <jansson.h>

#include "base/clock.h"
#include "base/json.h"
#include "discovery/fetch.h"

#define TIMEOUT   (2 * SECOND) /* the service is on the machine's own link */
#define ANSWER    65536        /* bytes */
#define TOKEN_TTL "21600"      /* seconds, the longest there is */
#define TTL_NAME  "X-aws-ec2-metadata-token-ttl-seconds"
#define EARLY     (5 * MINUTE) /* before credentials end */

struct metadata {
	const char *address;
	struct fetch_channel *channel;
	char *token; /* the whole header line; NULL: to be asked for */
	int64_t renew_at; /* monotonic */
};

struct metadata *metadata_new(const char *address)
{
	struct metadata *m = xcalloc(1, sizeof(*m));

	m->address = address;
	m->channel = fetch_channel_new();
	return m;
}

static void wipe(char **text)
{
	if (*text)
		explicit_bzero(*text, strlen(*text));
	free(*text);
	*text = NULL;
}

void metadata_free(struct metadata *m)
{
	if (!m)
		return;
	wipe(&m->token);
	fetch_channel_free(m->channel);
	free(m);
}

/* Returns the HTTP status. */
static int ask(struct metadata *m, const char *method, const char *path, const char *header, struct fetch_answer *out, struct err *e)
{
	cleanup_free char *url = xasprintf("%s%s", m->address, path);
	const char *const headers[] = {header, NULL};
	const struct fetch_request r = {
	    .method = method, .url = url, .headers = headers, .timeout = TIMEOUT, .connect_timeout = TIMEOUT, .max_body = ANSWER};
	int rc = fetch_channel_do(m->channel, &r, out);

	return rc < 0 ? err_set(e, rc, "instance metadata: %s", err_str(&out->err)) : out->status;
}

static int renew_token(struct metadata *m, struct err *e)
{
	struct fetch_answer answer = {0};
	int status = ask(m, "PUT", "/latest/api/token", TTL_NAME ": " TOKEN_TTL, &answer, e);
	char ttl[24];

	if (status == 200 && answer.body.len) {
		int64_t seconds = strtoll(fetch_header(&answer.headers, TTL_NAME, ttl, sizeof(ttl)) ? ttl : TOKEN_TTL, NULL, 10);

		wipe(&m->token);
		m->token = xasprintf("X-aws-ec2-metadata-token: %.*s", (int)strcspn(answer.body.data, "\r\n"), answer.body.data);
		m->renew_at = clock_monotonic() + MIN(MAX(seconds, 0), 21600) * SECOND / 10 * 9;
		explicit_bzero(answer.body.data, answer.body.len);
	} else if (status >= 0) {
		status = err_set(e, status == 403 ? -EACCES : -EIO, "instance metadata: %s gives no token (status %d)%s", m->address, status,
		    status == 403 ? "; is the service turned off for this instance?" : "");
	}
	fetch_answer_free(&answer);
	return MIN(status, 0);
}

int metadata_get(struct metadata *m, const char *item, struct buf *out, struct err *e)
{
	cleanup_free char *path = xasprintf("/latest/meta-data/%s", item);
	int rc = -EAGAIN;

	/* A token that the service has forgotten is answered with 401. */
	for (int tries = 0; tries < 2 && rc == -EAGAIN; tries++) {
		struct fetch_answer answer = {0};

		if (!m->token || clock_monotonic() >= m->renew_at)
			rc = renew_token(m, e);
		else
			rc = 0;
		if (rc < 0)
			return rc;
		rc = ask(m, "GET", path, m->token, &answer, e);
		if (rc == 200) {
			buf_put(out, str_or(answer.body.data, ""), answer.body.len);
			rc = 0;
		} else if (rc == 401) {
			wipe(&m->token);
			rc = err_set(e, -EAGAIN, "instance metadata: %s refuses its own token", m->address);
		} else if (rc >= 0) {
			rc = err_set(e, rc == 404 ? -ENOENT : -EIO, "instance metadata: %s answers with status %d", item, rc);
		}
		if (answer.body.data)
			explicit_bzero(answer.body.data, answer.body.len);
		fetch_answer_free(&answer);
	}
	return rc;
}

/* ---- credentials ---- */

void credentials_clear(struct credentials *c)
{
	wipe(&c->key_id);
	wipe(&c->secret);
	wipe(&c->session);
	c->until = 0;
}

int credentials_parse(const char *text, struct credentials *out, struct err *e)
{
	json_error_t where;
	json_t *j = json_read(text, strlen(text), 0, &where);
	const char *code = NULL, *key = NULL, *secret = NULL, *session = NULL, *until = NULL;
	int64_t instant;
	int rc = 0;

	if (!j || json_unpack(j, "{s?s, s:s, s:s, s:s, s:s}", "Code", &code, "AccessKeyId", &key, "SecretAccessKey", &secret, "Token",
	              &session, "Expiration", &until) < 0 || (code && !str_eq(code, "Success")))
		rc = err_set(e, -EINVAL, "instance metadata: the role's credentials are not usable (%s)", code ? code : "not of the known form");
	else if (time_parse_rfc3339(until, &instant) < 0)
		rc = err_set(e, -EINVAL, "instance metadata: the role's credentials have no end that can be read");
	if (rc >= 0) {
		credentials_clear(out);
		*out = (struct credentials){xstrdup(key), xstrdup(secret), xstrdup(session), instant};
	}
	json_decref(j);
	return rc;
}

int credentials_renew(struct credentials *c, struct metadata *m, struct err *e)
{
	struct buf role = BUF_INIT, text = BUF_INIT;
	int rc;

	if (c->key_id && clock_now() < c->until - EARLY)
		return 0;
	rc = metadata_get(m, "iam/security-credentials/", &role, e);
	if (rc == -ENOENT || (rc >= 0 && !role.len))
		rc = err_set(e, -EACCES, "the instance has no role: give it an instance profile whose role may record lifecycle heartbeats");
	if (rc >= 0) {
		cleanup_free char *item = xasprintf("iam/security-credentials/%.*s", (int)strcspn(role.data, "\r\n"), role.data);

		rc = metadata_get(m, item, &text, e);
	}
	if (rc >= 0)
		rc = credentials_parse(str_or(text.data, ""), c, e);
	if (text.data)
		explicit_bzero(text.data, text.len);
	buf_free(&text);
	buf_free(&role);
	return rc;
}
