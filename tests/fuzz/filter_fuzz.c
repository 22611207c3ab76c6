/*
 * Fuzzing of filter expressions: any text is a filter that answers for any object, or is refused with a sentence that
 * names its place.
 */
#include <assert.h>
#include <errno.h>

#include "base/codec.h"
#include "daemon/filter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
	const struct type *type;
	const char *json;
} objects[] = {
    {&type_node, "{\"Name\": \"web-1\", \"Attributes\": {\"os.name\": \"debian\"}, \"Drivers\": {\"raw_exec\": {\"Healthy\": true}},"
                 " \"NodeResources\": {\"Networks\": [{\"Device\": \"lo\"}]}, \"CSINodePlugins\": {\"p\": [1, {\"a\": null}]}}"},
    {&type_job, "{\"ID\": \"web\", \"Datacenters\": [\"dc1\"], \"TaskGroups\": [{\"Name\": \"app\", \"Count\": 2}]}"},
    {&type_eval, "{\"ID\": \"x\", \"QueuedAllocations\": {\"g\": 2}, \"Wait\": 5}"},
    {&type_node, "{}"},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_free char *text = xstrndup((const char *)data, size);

	for (size_t i = 0; i < ARRAY_LEN(objects); i++) {
		const struct type *t = objects[i].type;
		cleanup_arena struct arena *a = arena_new();
		cleanup_err struct err e = ERR_INIT;
		void *obj = arena_alloc(a, t->size);
		struct filter *f = NULL;
		int rc = filter_new(text, t, &f, &e);

		assert(codec_from_text(t, obj, objects[i].json, strlen(objects[i].json), a, NULL) == 0);
		assert(rc == 0 || (rc == -EINVAL && *err_str(&e)));
		if (rc == 0)
			filter_matches(f, obj);
		filter_free(f);
	}
	return 0;
}
