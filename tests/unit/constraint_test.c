/* Conditions on nodes: every operator, what targets are, versions, patterns, and what admission refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>

#include "base/pattern.h"
#include "sched/constraint.h"
#include "sched/version.h"

static struct node *make_node(struct arena *a)
{
	static const struct {
		const char *key, *value;
	} attributes[] = {
	    {"cpu.arch", "amd64"}, {"cpu.numcores", "16"}, {"memory.share", "0.75"}, {"kernel.version", "5.10.3"},
	    {"os.build", "1.4.0-beta.2"}, {"os.name", "debian"}, {"unique.hostname", "one"}, {"empty", ""},
	    {"features", "avx, avx2 ,sse"}, {"odd", "7up"}};
	struct node *n = MODEL_NEW(a, node);
	MODEL_SET(node, n, id, "11111111-2222-3333-4444-555555555555");
	MODEL_SET(node, n, name, "node-one");
	MODEL_SET(node, n, datacenter, "dc1");
	MODEL_SET(node, n, node_class, "large");
	MODEL_SET(node, n, node_pool, "build");
	for (size_t i = 0; i < ARRAY_LEN(attributes); i++)
		strmap_set(a, &n->attributes, attributes[i].key, attributes[i].value);
	strmap_set(a, &n->meta, "rack", "r1");
	return n;
}

static bool holds(const struct node *n, const char *l, const char *op, const char *r)
{
	struct constraint_test t;
	struct err e = ERR_INIT;
	if (constraint_test_init(&t, l, op, r, &e))
		fail_msg("%s %s %s: %s", l, op, r, err_str(&e));
	bool yes = constraint_holds(&t, n);
	constraint_test_release(&t);
	return yes;
}

struct row {
	const char *l, *op, *r;
	bool holds;
};

static void check_rows(const struct row *rows, size_t n)
{
	cleanup_arena struct arena *a = arena_new();
	const struct node *node = make_node(a);
	for (size_t i = 0; i < n; i++)
		if (holds(node, rows[i].l, rows[i].op, rows[i].r) != rows[i].holds)
			fail_msg("%s %s %s should %shold", rows[i].l, rows[i].op, rows[i].r, rows[i].holds ? "" : "not ");
}
#define CHECK(rows) check_rows(rows, ARRAY_LEN(rows))

static void test_equality_is_of_strings_and_what_is_missing_is_unequal(void **unused)
{
	static const struct row rows[] = {
	    {"${attr.cpu.arch}", "=", "amd64", true},
	    {"${attr.cpu.arch}", "==", "amd64", true},
	    {"${attr.cpu.arch}", "is", "amd64", true},
	    {"${attr.cpu.arch}", "", "amd64", true},
	    {"${attr.cpu.arch}", "=", "AMD64", false},
	    {"${attr.cpu.numcores}", "=", "16.0", false},
	    {"${attr.missing}", "=", "amd64", false},
	    {"${attr.missing}", "=", "", false},
	    {"${attr.empty}", "=", "", true},
	    {"${attr.cpu.arch}", "!=", "arm64", true},
	    {"${attr.cpu.arch}", "not", "amd64", false},
	    {"${attr.missing}", "!=", "amd64", true},
	    {"${attr.missing}", "!=", "${meta.missing}", false},
	    {"amd64", "=", "${attr.cpu.arch}", true},
	};
	(void)unused;
	CHECK(rows);
}

static void test_order_is_of_numbers_when_both_are_and_else_of_letters(void **unused)
{
	static const struct row rows[] = {
	    {"${attr.cpu.numcores}", ">", "9", true},
	    {"${attr.cpu.numcores}", ">=", "16", true},
	    {"${attr.cpu.numcores}", "<", "16", false},
	    {"${attr.cpu.numcores}", "<=", "16", true},
	    {"${attr.memory.share}", "<", "0.8", true},
	    {"${attr.memory.share}", ">", "1", false},
	    {"${attr.cpu.numcores}", ">", "9.5", true},
	    {"${attr.odd}", "<", "70", false}, /* "7up" is no number: "7u" comes after "70" */
	    {"${attr.os.name}", "<", "ubuntu", true},
	    {"${attr.os.name}", ">=", "debian", true},
	    {"${attr.missing}", "<", "1", false},
	    {"${attr.missing}", ">", "1", false},
	    {"9223372036854775807", ">", "9223372036854775806", true},
	};
	(void)unused;
	CHECK(rows);
}

static void test_patterns_are_found_anywhere_unless_they_say_where(void **unused)
{
	static const struct row rows[] = {
	    {"${attr.os.name}", "regexp", "bia", true},
	    {"${attr.os.name}", "regexp", "^bia", false},
	    {"${attr.os.name}", "regexp", "^(debian|ubuntu)$", true},
	    {"${attr.kernel.version}", "regexp", "^5\\.[0-9]+", true},
	    {"${attr.missing}", "regexp", ".*", false},
	    {"${attr.os.name}", "regexp", "${attr.os.name}", true},
	};
	(void)unused;
	CHECK(rows);
}

static void test_a_pattern_that_would_take_for_ever_does_not_match(void **unused)
{
	(void)unused;
	cleanup_arena struct arena *a = arena_new();
	struct node *n = make_node(a);
	strmap_set(a, &n->attributes, "long", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab");
	assert_false(holds(n, "${attr.long}", "regexp", "^(a+)+$"));
	assert_true(holds(n, "${attr.long}", "regexp", "^a+b$"));
}

static void test_a_pattern_that_always_takes_for_ever_is_given_up(void **unused)
{
	(void)unused;
	struct pattern *p = pattern_new("^(a+)+$", NULL);
	const char *bad = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab";
	for (int i = 0; i < 99; i++)
		assert_false(pattern_matches(p, bad));
	assert_true(pattern_matches(p, "aaa"));
	assert_false(pattern_matches(p, bad));
	assert_false(pattern_matches(p, "aaa"));
	pattern_free(p);
}

static void test_version_lists_know_pre_releases_and_the_pessimistic_operator(void **unused)
{
	static const struct row rows[] = {
	    {"${attr.kernel.version}", "version", ">= 5.0", true},
	    {"${attr.kernel.version}", "version", ">= 5.0, < 5.10", false},
	    {"${attr.kernel.version}", "version", ">= 5.0, < 5.11", true},
	    {"${attr.kernel.version}", "version", "~> 5.10.0", true},
	    {"${attr.kernel.version}", "version", "~> 5.9", true},
	    {"${attr.kernel.version}", "version", "~> 5.9.0", false},
	    {"${attr.kernel.version}", "version", "= 5.10.3", true},
	    {"${attr.kernel.version}", "version", "5.10.3", true},
	    {"${attr.kernel.version}", "version", "!= 5.10.3", false},
	    {"${attr.os.build}", "version", ">= 1.0", false},      /* a pre-release satisfies no plain condition */
	    {"${attr.os.build}", "version", ">= 1.4.0-beta.1", true}, /* but one on pre-releases of the same version */
	    {"${attr.os.build}", "version", "> 1.4.0-beta.10", false},
	    {"${attr.os.name}", "version", ">= 1.0", false},
	    {"${attr.missing}", "version", ">= 1.0", false},
	};
	(void)unused;
	CHECK(rows);
}

static void test_semver_orders_pre_releases_and_has_no_pessimistic_operator(void **unused)
{
	static const struct row rows[] = {
	    {"${attr.os.build}", "semver", ">= 1.0.0", true},
	    {"${attr.os.build}", "semver", "< 1.4.0", true},
	    {"${attr.os.build}", "semver", "> 1.4.0-alpha", true},
	    {"${attr.os.build}", "semver", "< 1.4.0-beta.11", true}, /* numbers are compared as numbers */
	    {"${attr.kernel.version}", "semver", ">= 5.10.3", true},
	};
	(void)unused;
	CHECK(rows);
	struct constraint_test t;
	struct err e = ERR_INIT;
	assert_int_equal(constraint_test_init(&t, "${attr.os.build}", "semver", "~> 1.0.0", &e), -EINVAL);
	assert_string_equal(err_str(&e), "Semver constraint is invalid: Malformed constraint: ~> 1.0.0");
	err_clear(&e);
}

static void test_sets_are_split_at_commas_and_trimmed(void **unused)
{
	static const struct row rows[] = {
	    {"${attr.features}", "set_contains", "avx2", true},
	    {"${attr.features}", "set_contains", "sse,avx", true},
	    {"${attr.features}", "set_contains_all", " sse , avx ", true},
	    {"${attr.features}", "set_contains", "sse,neon", false},
	    {"${attr.features}", "set_contains_any", "neon, sse", true},
	    {"${attr.features}", "set_contains_any", "neon,sve", false},
	    {"${attr.features}", "set_contains", "av", false},
	    {"${attr.missing}", "set_contains", "avx", false},
	    {"${attr.missing}", "set_contains_any", "avx", false},
	};
	(void)unused;
	CHECK(rows);
}

static void test_presence_is_asked_of_what_may_be_empty(void **unused)
{
	static const struct row rows[] = {
	    {"${attr.empty}", "is_set", "", true},
	    {"${attr.missing}", "is_set", "", false},
	    {"${attr.missing}", "is_not_set", "", true},
	    {"${meta.rack}", "is_not_set", "", false},
	};
	(void)unused;
	CHECK(rows);
}

static void test_targets_are_the_nodes_own_its_attributes_and_its_meta(void **unused)
{
	static const struct row rows[] = {
	    {"${node.unique.id}", "=", "11111111-2222-3333-4444-555555555555", true},
	    {"${node.unique.name}", "=", "node-one", true},
	    {"${node.datacenter}", "=", "dc1", true},
	    {"${node.class}", "=", "large", true},
	    {"${node.pool}", "=", "build", true},
	    {"${meta.rack}", "=", "r1", true},
	    {"${attr.unique.hostname}", "=", "one", true},
	    {"${meta.rac}", "is_set", "", false},
	    {"${meta.rack2}", "is_set", "", false},
	    {"${attr.cpu.arch", "is_set", "", false},
	    {"${env.HOME}", "is_set", "", false}, /* what only a client knows */
	};
	(void)unused;
	CHECK(rows);
	assert_true(constraint_is_unique("${node.unique.name}"));
	assert_true(constraint_is_unique("${attr.unique.hostname}"));
	assert_true(constraint_is_unique("${meta.unique.slot}"));
	assert_false(constraint_is_unique("${attr.cpu.arch}"));
	assert_false(constraint_is_unique("unique"));
}

static void test_what_cannot_be_a_condition_is_refused_with_a_sentence(void **unused)
{
	static const struct {
		const char *op, *r, *says;
	} rows[] = {
	    {"~~", "x", "Unknown constraint type \"~~\""},
	    {"regexp", "(", "Regular expression failed to compile"},
	    {"version", "banana", "Version constraint is invalid: Malformed constraint: banana"},
	    {"version", ">= 1.0,", "Version constraint is invalid: Malformed constraint: "},
	    {"semver", "1.x", "Semver constraint is invalid: Malformed constraint: 1.x"},
	};
	(void)unused;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct constraint_test t;
		struct err e = ERR_INIT;
		assert_int_equal(constraint_test_init(&t, "${attr.a}", rows[i].op, rows[i].r, &e), -EINVAL);
		if (!strstr(err_str(&e), rows[i].says))
			fail_msg("%s %s: \"%s\" does not say \"%s\"", rows[i].op, rows[i].r, err_str(&e), rows[i].says);
		err_clear(&e);
	}
}

static void test_the_text_of_a_condition_is_what_metrics_count_by(void **unused)
{
	(void)unused;
	cleanup_arena struct arena *a = arena_new();
	assert_string_equal(constraint_text(a, "${attr.kernel.name}", "", "linux"), "${attr.kernel.name} = linux");
	assert_string_equal(constraint_text(a, "${meta.rack}", "is_set", ""), "${meta.rack} is_set");
	assert_string_equal(constraint_text(a, "", "distinct_hosts", "true"), "distinct_hosts");
	assert_string_equal(constraint_text(a, "${meta.rack}", "distinct_property", "2"), "distinct_property: ${meta.rack}");
}

static void test_versions_are_read_and_ordered(void **unused)
{
	static const char *const ascending[] = {"0.9", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta",
	    "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.0.1", "v1.2", "1.10", "2.0.0+build.7"};
	static const char *const wrong[] = {"", "v", "1.", "a.b", "1.0-", "1.0.0-beta.", "1..2", "99999999999999999999", "1.2 3"};
	(void)unused;
	for (size_t i = 0; i + 1 < ARRAY_LEN(ascending); i++) {
		struct version x, y;
		assert_int_equal(version_parse(ascending[i], strlen(ascending[i]), false, &x, NULL), 0);
		assert_int_equal(version_parse(ascending[i + 1], strlen(ascending[i + 1]), false, &y, NULL), 0);
		if (version_cmp(&x, &y) >= 0 || version_cmp(&y, &x) <= 0 || version_cmp(&x, &x))
			fail_msg("%s does not come before %s", ascending[i], ascending[i + 1]);
	}
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct version x;
		if (version_parse(wrong[i], strlen(wrong[i]), false, &x, NULL) != -EINVAL)
			fail_msg("\"%s\" is no version", wrong[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_equality_is_of_strings_and_what_is_missing_is_unequal),
	    cmocka_unit_test(test_order_is_of_numbers_when_both_are_and_else_of_letters),
	    cmocka_unit_test(test_patterns_are_found_anywhere_unless_they_say_where),
	    cmocka_unit_test(test_a_pattern_that_would_take_for_ever_does_not_match),
	    cmocka_unit_test(test_a_pattern_that_always_takes_for_ever_is_given_up),
	    cmocka_unit_test(test_version_lists_know_pre_releases_and_the_pessimistic_operator),
	    cmocka_unit_test(test_semver_orders_pre_releases_and_has_no_pessimistic_operator),
	    cmocka_unit_test(test_sets_are_split_at_commas_and_trimmed),
	    cmocka_unit_test(test_presence_is_asked_of_what_may_be_empty),
	    cmocka_unit_test(test_targets_are_the_nodes_own_its_attributes_and_its_meta),
	    cmocka_unit_test(test_what_cannot_be_a_condition_is_refused_with_a_sentence),
	    cmocka_unit_test(test_the_text_of_a_condition_is_what_metrics_count_by),
	    cmocka_unit_test(test_versions_are_read_and_ordered),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
