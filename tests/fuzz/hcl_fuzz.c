/*
 * hcl_fuzz: job files from strangers, as POST /v1/jobs/parse takes them. A problem has a sentence that names the place; a
 * job that comes out prints as JSON, and reading that JSON gives the same job.
 */
#include "base/codec.h"
#include "daemon/jobspec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_round_trip(struct arena *a, const struct job *j, const struct jobspec_options *o)
{
	struct buf one = BUF_INIT, two = BUF_INIT;
	struct err e = ERR_INIT;
	struct job *again;

	codec_to_json(&one, &type_job, j, CODEC_PARSED, 0, 0);
	if (jobspec_parse(one.data, one.len, o, a, &again, &e))
		die("the printed job cannot be read: %s", err_str(&e));
	codec_to_json(&two, &type_job, again, CODEC_PARSED, 0, 0);
	if (one.len != two.len || memcmp(one.data, two.data, one.len) != 0)
		die("the job that was read back is another one:\n%s\n%s", one.data, two.data);
	buf_free(&one);
	buf_free(&two);
	err_clear(&e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct jobspec_options o = {.filename = "f.nomad"};
	struct arena *a = arena_new();
	struct err e = ERR_INIT;
	struct job *j;
	/* Without a zero byte behind it, so that reading past the end is found. */
	char *text = xcalloc(size ? size : 1, 1);

	memcpy(text, data, size);
	if (jobspec_parse(text, size, &o, a, &j, &e)) {
		if (!str_starts(err_str(&e), "f.nomad"))
			die("an error without its place: %s", err_str(&e));
	} else if (!jobspec_is_json(text, size)) {
		check_round_trip(a, j, &o);
	}
	err_clear(&e);
	arena_free(a);
	free(text);
	return 0;
}
