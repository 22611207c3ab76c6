#include "tests/lib/hcl_try.h"

#include "tests/lib/test.h"

static struct hcl_value *eval(struct hcl *h)
{
	struct hcl_expr *e = hcl_parse_expr(h, h->file);

	return e ? hcl_eval(h, e, NULL) : NULL;
}

static const char *problem(struct hcl *h)
{
	const char *text = h->errors.data ? h->errors.data : "t.hcl:nothing was said";

	return arena_printf(h->arena, "!%.*s", (int)strcspn(text + 6, "\n"), text + 6);
}

static const char *attempt(struct arena *a, const char *source, bool type)
{
	struct hcl_file file = {"t.hcl", source, (uint32_t)strlen(source)};
	struct hcl h = {.arena = a, .file = &file, .allow_files = true};
	struct hcl_value *v = eval(&h);
	cleanup_buf struct buf out = BUF_INIT;
	const char *result;

	if (v && type)
		buf_puts(&out, hcl_type_name(&h, hcl_type_of(&h, v)));
	else if (v)
		hcl_put_json(&h, &out, v);
	result = !v || h.n_errors ? problem(&h) : arena_strdup(a, out.data);
	buf_free(&h.errors);
	return result;
}

const char *hcl_try(struct arena *a, const char *source)
{
	return attempt(a, source, false);
}

const char *hcl_try_type(struct arena *a, const char *source)
{
	return attempt(a, source, true);
}

void expect_hcl(const struct hcl_case *cases, size_t n, const char *(*how)(struct arena *, const char *))
{
	size_t wrong = 0;

	for (size_t i = 0; i < n; i++) {
		cleanup_arena struct arena *a = arena_new();
		const char *result = how(a, cases[i].source);

		if (str_eq(result, cases[i].result))
			continue;
		print_error("%s\n  should be %s\n  but is    %s\n", cases[i].source, cases[i].result, result);
		wrong++;
	}
	assert_int_equal(wrong, 0);
}
