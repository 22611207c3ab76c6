/*
 * The provider "aws-asg": an EC2 instance of an auto scaling group. The instance's metadata says what the group wants of it
 * and whether a spot instance is to be interrupted; a lifecycle hook for autoscaling:EC2_INSTANCE_TERMINATING holds the
 * instance until CompleteLifecycleAction, or until its timeout, which RecordLifecycleActionHeartbeat begins anew.
 * https://docs.aws.amazon.com/autoscaling/ec2/userguide/lifecycle-hooks.html and the API's reference, version 2011-01-01.
 */
#include "packaging/scale-in/provider_aws.h"

#include <errno.h>
#include <jansson.h>
#include <strings.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "discovery/fetch.h"
#include "packaging/scale-in/metadata.h"

#define API_VERSION "2011-01-01"
#define API_TIMEOUT (10 * SECOND)

struct aws {
	struct provider base;
	struct metadata *metadata;
	struct fetch_channel *channel;
	struct credentials credentials;
	char *machine, *region, *group, *endpoint; /* NULL until known */
};

static struct provider *aws_open(const struct settings *s)
{
	struct aws *a = xcalloc(1, sizeof(*a));

	a->base = (struct provider){&provider_aws, s};
	a->metadata = metadata_new(s->aws.metadata);
	a->channel = fetch_channel_new();
	if (str_empty(s->aws.hook))
		log_info("scale-in", "aws-asg: no lifecycle hook is named: notices are acted on, but nothing holds the machine");
	return &a->base;
}

static void aws_close(struct provider *p)
{
	struct aws *a = CONTAINER_OF(p, struct aws, base);

	metadata_free(a->metadata);
	fetch_channel_free(a->channel);
	credentials_clear(&a->credentials);
	free(a->machine);
	free(a->region);
	free(a->group);
	free(a->endpoint);
	free(a);
}

/* ---- what the metadata says ---- */

/* One line; *out stays NULL when there is no such item and it may be missing. */
static int read_item(struct aws *a, const char *item, bool optional, char **out, struct err *e)
{
	cleanup_buf struct buf b = BUF_INIT;
	int rc = metadata_get(a->metadata, item, &b, e);

	if (rc >= 0)
		*out = xstrndup(str_or(b.data, ""), b.len - (b.len && b.data[b.len - 1] == '\n'));
	else if (rc == -ENOENT && optional)
		rc = 0;
	return MIN(rc, 0);
}

/* Read once, or taken from the configuration. */
static int know(struct aws *a, const char *given, const char *item, char **slot, struct err *e)
{
	if (*slot)
		return 0;
	if (!str_empty(given)) {
		*slot = xstrdup(given);
		return 0;
	}
	return read_item(a, item, false, slot, e);
}

static int aws_machine(struct provider *p, const char **out, struct err *e)
{
	struct aws *a = CONTAINER_OF(p, struct aws, base);
	int rc = know(a, NULL, "instance-id", &a->machine, e);

	if (rc >= 0)
		*out = a->machine;
	return rc;
}

static int take_spot(const struct settings *s, const char *text, struct wish *w, struct err *e)
{
	json_error_t where;
	json_t *j = json_read(text, strlen(text), 0, &where);
	const char *action = NULL, *time = NULL;
	int64_t at = 0;
	int rc = 0;

	if (!j || json_unpack(j, "{s:s, s:s}", "action", &action, "time", &time) < 0 || time_parse_rfc3339(time, &at) < 0) {
		rc = err_set(e, -EINVAL, "instance metadata: spot/instance-action is \"%.200s\"; expected an action and a time", text);
	} else {
		char *reason = w->word == WISH_LEAVE ? xasprintf("%s; spot interruption (%s) at %s", w->reason, action, time)
		                                     : xasprintf("spot interruption (%s) at %s", action, time);

		free(w->reason);
		w->word = WISH_LEAVE;
		w->reason = reason;
		w->deadline = at - s->aws.spot_margin;
	}
	json_decref(j);
	return rc;
}

int aws_wish(const struct settings *s, const struct aws_notices *n, struct wish *out, struct err *e)
{
	struct wish w = {.word = WISH_UNSAID};
	int rc = 0;

	if (n->lifecycle && str_eq(n->lifecycle, "InService"))
		w.word = WISH_STAY;
	if (n->lifecycle && strs_has(&s->aws.leave_states, n->lifecycle)) {
		w.word = WISH_LEAVE;
		w.hooked = !str_empty(s->aws.hook);
	}
	if (n->lifecycle)
		w.reason = xasprintf("target lifecycle state is %.40s", n->lifecycle);
	if (n->spot)
		rc = take_spot(s, n->spot, &w, e);
	if (rc >= 0 && n->rebalance && w.word != WISH_LEAVE && str_eq(s->aws.rebalance, "drain")) {
		free(w.reason);
		w = (struct wish){.word = WISH_LEAVE, .reason = xstrdup("rebalance recommendation")};
	}
	if (rc < 0)
		wish_free(&w);
	else
		*out = w;
	return rc;
}

static int aws_look(struct provider *p, struct wish *out, struct err *e)
{
	struct aws *a = CONTAINER_OF(p, struct aws, base);
	cleanup_free char *lifecycle = NULL, *spot = NULL, *rebalance = NULL;
	int rc = read_item(a, "autoscaling/target-lifecycle-state", true, &lifecycle, e);

	if (rc >= 0)
		rc = read_item(a, "spot/instance-action", true, &spot, e);
	if (rc >= 0 && !str_eq(p->settings->aws.rebalance, "ignore"))
		rc = read_item(a, "events/recommendations/rebalance", true, &rebalance, e);
	if (rc < 0)
		return rc;
	return aws_wish(p->settings, &(struct aws_notices){lifecycle, spot, rebalance}, out, e);
}

/* ---- the API ---- */

/* The text of the first element of that name; "" when there is none. */
static void put_element(struct buf *out, const char *xml, const char *name)
{
	cleanup_free char *open = xasprintf("<%s>", name);
	const char *from = strstr(xml, open);

	if (from)
		buf_printf(out, "%.*s", (int)MIN(strcspn(from + strlen(open), "<"), 300), from + strlen(open));
	else
		buf_puts(out, "");
}

int aws_error(int status, const char *body, bool *stale, struct err *e)
{
	static const struct {
		const char *code, *message; /* message: the text must contain it */
		int errno_;
		bool stale;
	} known[] = {
	    {"ValidationError", "No active Lifecycle Action", -ENOENT, false},
	    {"Throttling", NULL, -EAGAIN, false},
	    {"ThrottlingException", NULL, -EAGAIN, false},
	    {"RequestLimitExceeded", NULL, -EAGAIN, false},
	    {"ResourceContention", NULL, -EAGAIN, false},
	    {"ServiceUnavailable", NULL, -EAGAIN, false},
	    {"InternalFailure", NULL, -EAGAIN, false},
	    {"ExpiredToken", NULL, -EACCES, true},
	    {"InvalidClientTokenId", NULL, -EACCES, true},
	    {"AccessDenied", NULL, -EACCES, false},
	    {"UnauthorizedOperation", NULL, -EACCES, false},
	    {"SignatureDoesNotMatch", NULL, -EACCES, false},
	    {"RequestExpired", NULL, -EACCES, false},
	};
	cleanup_buf struct buf code = BUF_INIT, message = BUF_INIT;
	int errno_ = status / 100 == 5 || status == 429 ? -EAGAIN : -EINVAL;

	put_element(&code, body, "Code");
	put_element(&message, body, "Message");
	*stale = false;
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (!str_eq(known[i].code, code.data) || (known[i].message && !strstr(str_or(message.data, ""), known[i].message)))
			continue;
		errno_ = known[i].errno_;
		*stale = known[i].stale;
		break;
	}
	return err_set(e, errno_, "auto scaling answers with status %d%s%s%s%s", status, code.len ? ", " : "", str_or(code.data, ""),
	    message.len ? ": " : "", str_or(message.data, ""));
}

static void put_parameter(struct buf *b, const char *name, const char *value)
{
	buf_printf(b, "%s%s=", b->len ? "&" : "", name);
	for (const char *p = value; *p; p++) {
		if ((*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || strchr("-._~", *p))
			buf_putc(b, *p);
		else
			buf_printf(b, "%%%02X", (unsigned char)*p);
	}
}

static int find_endpoint(struct aws *a, struct err *e)
{
	const struct settings *s = a->base.settings;
	char *domain = NULL;
	int rc;

	if (a->endpoint)
		return 0;
	if (!str_empty(s->aws.endpoint)) {
		size_t n = strlen(s->aws.endpoint);

		a->endpoint = xasprintf("%s%s", s->aws.endpoint, s->aws.endpoint[n - 1] == '/' ? "" : "/");
		return 0;
	}
	rc = read_item(a, "services/domain", true, &domain, e);
	if (rc >= 0)
		a->endpoint = xasprintf("https://autoscaling.%s.%s/", a->region, str_or(domain, "amazonaws.com"));
	free(domain);
	return rc;
}

static int find_all(struct aws *a, struct err *e)
{
	const struct settings *s = a->base.settings;
	const char *machine;
	int rc = aws_machine(&a->base, &machine, e);

	if (rc >= 0)
		rc = know(a, s->aws.region, "placement/region", &a->region, e);
	if (rc >= 0)
		rc = find_endpoint(a, e);
	if (rc == -ENOENT) /* which means something else to who asks */
		return err_set(e, -EIO, "instance metadata: it lacks the instance's id or region");
	if (rc < 0)
		return rc;
	rc = know(a, s->aws.group, "tags/instance/aws:autoscaling:groupName", &a->group, e);
	return rc == -ENOENT ? err_set(e, -EINVAL, "the name of the auto scaling group is not known: set aws { group }, or allow tags in "
						   "the instance's metadata")
	                     : rc;
}

static int post(struct aws *a, const struct buf *body, bool *stale, struct err *e)
{
	const struct fetch_aws sign = {a->region, "autoscaling", a->credentials.key_id, a->credentials.secret, a->credentials.session};
	const char *const headers[] = {"Content-Type: application/x-www-form-urlencoded", NULL};
	const struct fetch_request r = {.method = "POST",
	    .url = a->endpoint,
	    .headers = headers,
	    .body = body->data,
	    .body_len = body->len,
	    .timeout = API_TIMEOUT,
	    .max_body = 65536,
	    .aws = &sign};
	struct fetch_answer answer;
	int rc = fetch_channel_do(a->channel, &r, &answer);

	*stale = false;
	if (rc < 0)
		err_set(e, rc, "auto scaling: %s", err_str(&answer.err));
	else if (answer.status / 100 != 2)
		rc = aws_error(answer.status, str_or(answer.body.data, ""), stale, e);
	fetch_answer_free(&answer);
	return MIN(rc, 0);
}

static int call(struct aws *a, const char *action, const char *result, struct err *e)
{
	cleanup_buf struct buf body = BUF_INIT;
	int rc = find_all(a, e);
	bool stale = true;

	if (rc < 0)
		return rc;
	put_parameter(&body, "Action", action);
	put_parameter(&body, "AutoScalingGroupName", a->group);
	put_parameter(&body, "InstanceId", a->machine);
	if (result)
		put_parameter(&body, "LifecycleActionResult", result);
	put_parameter(&body, "LifecycleHookName", a->base.settings->aws.hook);
	put_parameter(&body, "Version", API_VERSION);
	for (int tries = 0; tries < 2 && stale; tries++) {
		rc = credentials_renew(&a->credentials, a->metadata, e);
		if (rc < 0)
			return rc;
		rc = post(a, &body, &stale, e);
		if (stale)
			credentials_clear(&a->credentials);
	}
	return rc < 0 ? err_wrap(e, "%s", action) : 0;
}

static int aws_extend(struct provider *p, const struct course *c UNUSED, int64_t remaining UNUSED, struct err *e)
{
	return call(CONTAINER_OF(p, struct aws, base), "RecordLifecycleActionHeartbeat", NULL, e);
}

static int aws_release(struct provider *p, const struct course *c UNUSED, struct err *e)
{
	return call(CONTAINER_OF(p, struct aws, base), "CompleteLifecycleAction", "CONTINUE", e);
}

const struct provider_ops provider_aws = {"aws-asg", aws_open, aws_close, aws_machine, aws_look, aws_extend, aws_release};
