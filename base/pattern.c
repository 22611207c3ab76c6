/* pattern: PCRE2 with bounds. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "base/pattern.h"

#include <errno.h>
#include <pcre2.h>

enum {
	LENGTH_MAX = 4096,
	MATCH_LIMIT = 100000, /* steps of one match */
	HEAP_LIMIT = 1024,    /* KiB */
	PATIENCE = 100,       /* matches at the limit */
};

struct pattern {
	pcre2_code *code;
	unsigned exhausted; /* matches that ended at the limit */
};

struct pattern *pattern_new(const char *text, struct err *e)
{
	int code;
	PCRE2_SIZE at;
	char why[160];

	if (strlen(text) > LENGTH_MAX) {
		err_set(e, -EINVAL, "the pattern is longer than %d characters", LENGTH_MAX);
		return NULL;
	}
	struct pattern p = {.code = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, 0, &code, &at, NULL)};

	if (!p.code) {
		pcre2_get_error_message(code, (PCRE2_UCHAR *)why, sizeof(why));
		err_set(e, -EINVAL, "error parsing regexp: %s at character %zu: `%.200s`", why, (size_t)at, text);
		return NULL;
	}
	struct pattern *out = xmalloc(sizeof(*out));

	*out = p;
	return out;
}

void pattern_free(struct pattern *p)
{
	if (!p)
		return;
	pcre2_code_free(p->code);
	free(p);
}

bool pattern_matches(struct pattern *p, const char *text)
{
	int r;

	if (p->exhausted >= PATIENCE)
		return false;
	pcre2_match_context *context = pcre2_match_context_create(NULL);
	pcre2_match_data *data = pcre2_match_data_create(1, NULL);

	if (!context || !data)
		die("out of memory");
	pcre2_set_match_limit(context, MATCH_LIMIT);
	pcre2_set_depth_limit(context, MATCH_LIMIT / 10);
	pcre2_set_heap_limit(context, HEAP_LIMIT);
	r = pcre2_match(p->code, (PCRE2_SPTR)text, strlen(text), 0, 0, data, context);
	p->exhausted += r == PCRE2_ERROR_MATCHLIMIT || r == PCRE2_ERROR_DEPTHLIMIT || r == PCRE2_ERROR_HEAPLIMIT;
	pcre2_match_data_free(data);
	pcre2_match_context_free(context);
	return r >= 0;
}
