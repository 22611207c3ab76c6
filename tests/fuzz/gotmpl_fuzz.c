/*
 * Fuzzing of templates: any text is printed or refused with a sentence that names its place, in bounded time and memory.
 */
#include <assert.h>
#include <errno.h>

#include <jansson.h>

#include "daemon/gotmpl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char object[] = "{\"ID\": \"x\", \"Priority\": 50, \"Wait\": 5, \"QueuedAllocations\": {\"g\": 2, \"h\": 0},"
                             " \"RelatedEvals\": [1, 2.5, \"three\", null, true, {\"a\": [\"b\"]}],"
                             " \"FailedTGAllocs\": {\"g\": {\"CoalescedFailures\": 1}}}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_arena struct arena *a = arena_new();
	cleanup_free char *text = xstrndup((const char *)data, size);
	cleanup_buf struct buf out = BUF_INIT;
	cleanup_err struct err e = ERR_INIT;
	json_t *j = json_loads(object, 0, NULL);
	const struct value *v = value_from_json(a, j);
	bool typed = size && data[0] % 2;
	int rc;

	json_decref(j);
	gotmpl_max_steps = 100000;
	buf_init(&out, 1 << 20);
	rc = gotmpl_run(text, v, typed ? &type_eval : NULL, false, a, &out, &e);
	assert(rc == 0 || (rc == -EINVAL && str_starts(err_str(&e), "line ")));
	return 0;
}
