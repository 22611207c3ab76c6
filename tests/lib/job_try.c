#include "tests/lib/job_try.h"

#include <jansson.h>

#include "base/codec.h"
#include "base/json.h"
#include "tests/lib/test.h"

static const char *member_of(struct arena *a, const struct job *job, const char *member)
{
	cleanup_buf struct buf text = BUF_INIT;
	json_error_t error;

	codec_to_json(&text, &type_job, job, CODEC_PARSED, 0, 0);
	json_t *j = json_read(text.data, text.len, 0, &error), *part = member ? json_object_get(j, member) : j;

	assert_non_null(part);
	cleanup_free char *printed = json_dumps(part, JSON_ENCODE_ANY | JSON_SORT_KEYS | JSON_COMPACT);

	json_decref(j);
	return arena_strdup(a, printed);
}

const char *job_try_bytes(struct arena *a, const char *text, size_t n, const struct jobspec_options *o, const char *member)
{
	struct jobspec_options options = o ? *o : (struct jobspec_options){0};
	cleanup_free char *copy = xcalloc(n ? n : 1, 1);
	cleanup_err struct err e = ERR_INIT;
	struct job *job;

	memcpy(copy, text, n);
	if (!options.filename)
		options.filename = "t.nomad";
	if (jobspec_parse(copy, n, &options, a, &job, &e))
		return arena_printf(a, "!%s", err_str(&e));
	return member_of(a, job, member);
}

const char *job_try(struct arena *a, const char *text, const struct jobspec_options *o, const char *member)
{
	return job_try_bytes(a, text, strlen(text), o, member);
}
