/*
 * Job files that ask for too much: deep nesting, large texts, small texts that stand for large ones. Each gets a sentence
 * that says which bound was met, soon and without much memory.
 */
#include <sys/resource.h>
#include <time.h>

#include "base/hcl.h"
#include "tests/lib/job_try.h"
#include "tests/lib/test.h"

enum { LONGEST = 20 /* seconds of processor time, with the sanitizers */ };

static const char *try_config(struct arena *a, const char *before, const char *config)
{
	cleanup_buf struct buf text = BUF_INIT;
	clock_t start = clock();

	buf_printf(&text, "%s\njob \"x\" {\n  group \"g\" {\n    task \"t\" {\n      config {\n%s\n      }\n    }\n  }\n}\n", before, config);
	const char *result = job_try_bytes(a, text.data, text.len, NULL, NULL);

	assert_true((clock() - start) / CLOCKS_PER_SEC < LONGEST);
	return result;
}

static void expect_said(const char *before, const char *config, const char *said)
{
	cleanup_arena struct arena *a = arena_new();
	const char *result = try_config(a, before, config);

	if (*result != '!' || !strstr(result, said))
		print_error("%.200s\n  should say %s\n  but says   %.500s\n", *before ? before : config, said, result);
	assert_int_equal(*result, '!');
	assert_non_null(strstr(result, said));
}

/* text so many times, with something around it */
static char *times(const char *before, const char *text, int n, const char *after)
{
	struct buf b = BUF_INIT;

	buf_puts(&b, before);
	while (n-- > 0)
		buf_puts(&b, text);
	buf_puts(&b, after);
	return b.data;
}

static void what_is_nested_ten_thousand_levels_deep_is_refused(void **state UNUSED)
{
	static const char *const openings[] = {"[", "(", "{ a = ", "-", "!", "upper(", "\"${", "true ? 1 : ", "[for x in ", "[0][", "1 + (",
	    "max(1, ", "f([{ a = (", "<<A\n${"};

	for (size_t i = 0; i < ARRAY_LEN(openings); i++) {
		cleanup_free char *config = times("a = ", openings[i], 10000, "");

		expect_said("", config, "Nested too deeply");
	}
	cleanup_free char *blocks = times("", "b {\n", 10000, "");
	cleanup_free char *directives = times("a = \"", "%{ if true }", 10000, "\"");
	cleanup_free char *types = times("variable \"v\" {\n type = ", "list(", 10000, "");

	expect_said("", blocks, "Nested too deeply");
	expect_said("", directives, "Nested too deeply");
	expect_said(types, "", "Nested too deeply");
}

static void long_chains_are_not_deep(void **state UNUSED)
{
	static const struct {
		const char *before, *each, *after, *said;
	} chains[] = {
	    {"a = 1", " + 1", "", "Nested too deeply"},
	    {"a = { a = 1 }", ".a", "", "Nested too deeply"},
	    {"a = [1]", "[0]", "", "Nested too deeply"},
	    {"a = [[1]]", "[*]", "", "t.nomad"},
	};
	cleanup_arena struct arena *a = arena_new();
	cleanup_free char *sum = times("a = 1", " + 1", 150, ""), *list = times("a = [", "1, ", 100000, "]");
	cleanup_free char *text = times("a = \"", "${1} ", 50000, "\""), *lines = times("a = <<EOF\n", "  line\n", 100000, "EOF");

	for (size_t i = 0; i < ARRAY_LEN(chains); i++) {
		cleanup_free char *config = times(chains[i].before, chains[i].each, 20000, chains[i].after);

		if (i != 3)
			expect_said("", config, chains[i].said);
		else
			try_config(a, "", config);
	}
	assert_non_null(strstr(try_config(a, "", sum), "{\"a\":151}"));
	assert_int_not_equal(*try_config(a, "", list), '!');
	assert_int_not_equal(*try_config(a, "", text), '!');
	assert_int_not_equal(*try_config(a, "", lines), '!');
}

/* locals l1 = <step with $ for the one before>, up to l<n> */
static char *ladder(const char *first, const char *step, int n)
{
	struct buf b = BUF_INIT;

	buf_printf(&b, "locals {\n  l0 = %s\n", first);
	for (int i = 1; i <= n; i++) {
		buf_printf(&b, "  l%d = ", i);
		for (const char *p = step; *p; p++)
			if (*p == '@')
				buf_printf(&b, "local.l%d", i - 1);
			else
				buf_putc(&b, *p);
		buf_puts(&b, "\n");
	}
	buf_puts(&b, "}\n");
	return b.data;
}

static void small_texts_that_stand_for_huge_ones_are_refused(void **state UNUSED)
{
	static const struct {
		const char *first, *step, *said;
	} ladders[] = {
	    {"\"0123456789\"", "\"${@}${@}${@}${@}\"", "at most 16 MiB"},
	    {"[1]", "concat(@, @, @)", "the result is too large"},
	    {"\"xxxx\"", "join(@, [@, @, @])", "16 MiB"},
	    {"\"xxxx\"", "replace(@, \"x\", @)", "16 MiB"},
	    {"\"xxxx\"", "format(\"%s%s%s\", @, @, @)", "16 MiB"},
	    {"\"xxxx\"", "jsonencode([@, @, @])", "16 MiB"},
	    {"[1]", "[for a in @ : [for b in @ : [a, b]]]", "Expression too expensive"},
	    {"[1]", "flatten([@, @, @])", "t.nomad"},
	    {"[1]", "setproduct(@, [1, 2])", "too"},
	};

	for (size_t i = 0; i < ARRAY_LEN(ladders); i++) {
		cleanup_free char *locals = ladder(ladders[i].first, ladders[i].step, 40);

		expect_said(locals, "a = local.l40", ladders[i].said);
	}
}

static void values_that_are_shared_cost_what_they_are_worth_when_they_are_written_out(void **state UNUSED)
{
	cleanup_arena struct arena *a = arena_new();
	cleanup_free char *lists = ladder("[1]", "[@, @, @]", 40), *objects = ladder("{ a = 1 }", "{ a = @, b = @ }", 40);

	/* Sharing is cheap as long as nobody looks. */
	assert_non_null(strstr(try_config(a, lists, "a = local.l40 == local.l39"), "{\"a\":false}"));
	assert_non_null(strstr(try_config(a, objects, "a = length(local.l40)"), "{\"a\":2}"));
	expect_said(lists, "a = local.l40", "Expression too expensive");
	expect_said(objects, "a = local.l40", "Expression too expensive");
	expect_said(lists, "a = jsonencode(local.l40)", "t.nomad");
	expect_said(lists, "a = flatten(local.l40)", "too");
	expect_said(lists, "a = convert(local.l40, list(any))", "t.nomad");
}

static void loops_within_loops_are_refused(void **state UNUSED)
{
	static const struct {
		const char *config, *said;
	} loops[] = {
	    {"a = [for x in range(1000) : [for y in range(1000) : [for z in range(1000) : x]]]", "Expression too expensive"},
	    {"a = \"%{ for x in range(1000) }%{ for y in range(1000) }%{ for z in range(1000) }x%{ endfor }%{ endfor }%{ endfor }\"", "t.nomad"},
	    {"a = [for x in range(1000) : regex_replace(join(\"\", [for y in range(1000) : \"aaaa\"]), \"(a|aa)+$\", \"b\")]", "t.nomad"},
	    {"a = regex_replace(\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!\", \"^(a+)+$\", \"b\")", ""},
	    {"a = setproduct(range(1000), range(1000), range(1000))", "too large"},
	    {"a = range(0, 1e9)", "at most 1024"},
	    {"a = indent(10000, join(\"\\n\", [for x in range(1000) : join(\"\\n\", range(1000))]))", "16 MiB"},
	    {"dynamic \"a\" {\n for_each = range(1000)\n content {\n dynamic \"b\" {\n for_each = range(1000)\n content {\n dynamic \"c\" {\n "
	     "for_each = range(1000)\n content {\n x = 1\n }\n }\n }\n }\n }\n }",
		"Expression too expensive"},
	};
	cleanup_arena struct arena *a = arena_new();

	for (size_t i = 0; i < ARRAY_LEN(loops); i++)
		if (*loops[i].said)
			expect_said("", loops[i].config, loops[i].said);
		else
			try_config(a, "", loops[i].config);
}

static void long_texts_are_not_compared_for_ever(void **state UNUSED)
{
	/* Sixteen megabytes for each of many elements; sorting compares them again and again. */
	static const char locals[] = "locals {\n  k = join(\"\", [for x in range(1000) : \"0123456789abcdef\"])\n"
				     "  m = join(\"\", [for x in range(500) : local.k])\n  a = \"${local.m}a\"\n  b = \"${local.m}b\"\n"
				     "  l = flatten([for x in range(300) : [for y in range(300) : (x + y) % 2 == 0 ? local.a : local.b]])\n}\n";
	static const char *const functions[] = {"sort(local.l)", "trim(local.a, local.a)", "[for x in local.l : regex_replace(x, \"a\", \"b\")]"};
	cleanup_arena struct arena *a = arena_new();

	for (size_t i = 0; i < ARRAY_LEN(functions); i++) {
		cleanup_free char *config = xasprintf("a = length(jsonencode(%s))", functions[i]);

		try_config(a, locals, config);
	}
}

static void bombs_of_other_formats_are_refused(void **state UNUSED)
{
	cleanup_buf struct buf yaml = BUF_INIT, deep = BUF_INIT;

	buf_puts(&yaml, "a = yamldecode(<<EOF\na0: &a0 [x]\n");
	for (int i = 1; i < 40; i++)
		buf_printf(&yaml, "a%d: &a%d [*a%d, *a%d, *a%d]\n", i, i, i - 1, i - 1, i - 1);
	buf_puts(&yaml, "EOF\n)");
	expect_said("", yaml.data, "t.nomad");
	cleanup_free char *json = times("a = jsondecode(\"", "[", 10000, "\")"), *nested = times("a = yamldecode(\"", "[", 10000, "\")");

	expect_said("", json, "jsondecode");
	expect_said("", nested, "yamldecode");
	expect_said("", "a = [for x in range(1000) : [for y in range(1000) : bcrypt(\"x\", 15)]]", "t.nomad");
	expect_said("", "a = pow(10, 308) * pow(10, 308)", "t.nomad");
}

static void large_texts_are_fine_up_to_the_bound(void **state UNUSED)
{
	cleanup_arena struct arena *a = arena_new();
	cleanup_free char *text = times("job \"x\" { type = \"", "0123456789abcdef", 10 << 16, "\" }");
	cleanup_free char *larger = times("job \"x\" { type = \"", "0123456789abcdef", 1 << 20, "\" }");
	const char *type = job_try(a, text, NULL, "Type");

	assert_int_equal(strlen(type), (10 << 20) + 2);
	assert_true(str_starts(job_try(a, larger, NULL, NULL), "!t.nomad:1,1-2: Source too large; a job file may have 16777216 bytes"));
}

static void many_names_are_found_without_looking_at_all(void **state UNUSED)
{
	cleanup_arena struct arena *a = arena_new();
	cleanup_buf struct buf text = BUF_INIT;
	clock_t start = clock();

	buf_puts(&text, "locals {\n");
	for (int i = 0; i < 50000; i++)
		buf_printf(&text, "  l%d = %s%d\n", i, i ? "local.l" : "", i ? i / 2 : 0);
	buf_puts(&text, "}\njob \"x\" {\n  meta {\n");
	for (int i = 0; i < 50000; i++)
		buf_printf(&text, "    m%d = local.l%d\n", i, i);
	buf_puts(&text, "  }\n  group \"g\" {\n");
	for (int i = 0; i < 20000; i++)
		buf_printf(&text, "    volume \"v%d\" {}\n", 20000 - i);
	buf_puts(&text, "  }\n}\n");
	assert_int_not_equal(*job_try(a, text.data, NULL, NULL), '!');
	assert_true((clock() - start) / CLOCKS_PER_SEC < LONGEST);
}

static void memory_stays_in_bounds(void **state UNUSED)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	assert_true(usage.ru_maxrss < 4L << 20); /* KiB; the sanitizers keep what was freed for a while */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_nested_ten_thousand_levels_deep_is_refused),
	    cmocka_unit_test(long_chains_are_not_deep),
	    cmocka_unit_test(small_texts_that_stand_for_huge_ones_are_refused),
	    cmocka_unit_test(values_that_are_shared_cost_what_they_are_worth_when_they_are_written_out),
	    cmocka_unit_test(loops_within_loops_are_refused),
	    cmocka_unit_test(long_texts_are_not_compared_for_ever),
	    cmocka_unit_test(bombs_of_other_formats_are_refused),
	    cmocka_unit_test(large_texts_are_fine_up_to_the_bound),
	    cmocka_unit_test(many_names_are_found_without_looking_at_all),
	    cmocka_unit_test(memory_stays_in_bounds),
	};

	return RUN_TESTS(tests);
}
