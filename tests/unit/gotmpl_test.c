/* The templates of -t: what the documentation of Go's text/template promises, and where it says no. */
#include "base/codec.h"
#include "daemon/gotmpl.h"
#include "tests/lib/test.h"

#include <errno.h>
#include <jansson.h>

static const char data[] =
    "{\"n\": null, \"a\": 1, \"f\": 1.5, \"l\": [\"a\", \"b\"], \"m\": {\"k\": \"v\"}, \"nested\": {\"a\": [1, 2]},"
    " \"bigf\": 1.25e21, \"small\": 1.5e-7, \"int64\": 9007199254740993, \"neg\": -12, \"t\": true, \"fa\": false,"
    " \"\xc3\xa9\": \"e\", \"_x\": \"u\", \"A1b_c\": \"n\"}";

/* What Go's text/template prints with this data. */
static const struct {
	const char *text, *printed;
} same_as_go[] = {
    {"{{.x}}|{{.n}}|{{.m}}|{{.l}}", "<no value>|<no value>|map[k:v]|[a b]"},
    {"{{.x.y}}", "<no value>"},
    {"{{index .m \"zz\"}}", "<no value>"},
    {"{{eq .a 1}}", "true"},
    {"{{.a}} {{.f}}", "1 1.5"},
    {"{{range 3}}{{.}}{{end}}", "012"},
    {"{{print 1 2 \"a\" \"b\" 3}}|{{println 1 \"a\"}}", "1 2ab3|1 a\n"},
    {"{{printf \"%d %s %v %q %x %5d|%-5d|%05d %t %f %e %.2f\" 1 \"s\" .l \"q\" 255 7 7 7 true 1.5 1.5 2.0}}", "1 s [a b] \"q\" ff     7|7    |00007 true 1.500000 1.500000e+00 2.00"},
    {"{{printf \"%d\" \"x\"}} {{printf \"%d\"}} {{printf \"x\" 1}} {{printf \"%!\"}} {{printf \"%s\" .n}} {{printf \"%v\" .n}} {{printf \"%x\" \"hi\"}} {{printf \"%5s|%-5s|%.2s\" \"a\" \"b\" \"xyz\"}} {{printf \"%q\" .l}}", "%!d(string=x) %!d(MISSING) x%!(EXTRA int=1) %!!(MISSING) %!s(<nil>) <nil> 6869     a|b    |xy [\"a\" \"b\"]"},
    {"{{lt 1 2}}{{le 2 2}}{{ne 1 2}}{{not 0}}{{and 1 0}}{{or 0 \"x\"}}", "truetruetruetrue0x"},
    {"{{html \"<a&'\\\"\"}} {{js \"it's <a> = & \\n\"}} {{urlquery \"a b&c\"}}", "&lt;a&amp;&#39;&#34; it\\'s \\u003Ca\\u003E \\u003D \\u0026 \\u000A a+b%26c"},
    {"{{slice \"hello\" 1 3}}{{slice .l 1}}", "el[b]"},
    {"{{$x := 1}}{{if true}}{{$x = 2}}{{end}}{{$x}}", "2"},
    {"{{with .m}}{{.k}}{{else}}no{{end}}", "v"},
    {"{{range $k,$v := .m}}{{$k}}={{$v}};{{end}}", "k=v;"},
    {"{{if eq 1 2 1}}y{{end}}", "y"},
    {"a {{- 1 -}} b {{- /* c */ -}} d", "a1bd"},
    {"{{(index .l 0)}}{{.m.k}}", "av"},
    {"{{1 | printf \"%d %d\" 2}}", "2 1"},
    {"{{'a'}} {{0x1F}} {{1e3}} {{0b11}} {{0o17}} {{017}} {{1_000}} {{1.5e3}} {{-1}}", "97 31 1000 3 15 15 1000 1500 -1"},
    {"{{eq .n nil}}", "true"},
    {"{{eq .x .n}}", "true"},
    {"{{lt \"a\" \"b\"}}", "true"},
    {"{{/* a */}}b", "b"},
    {"{{if .zz}}1{{else if .a}}2{{else}}3{{end}}", "2"},
    {"{{range .l}}{{if eq . \"b\"}}{{break}}{{end}}{{.}}{{end}}", "a"},
    {"{{with $y := .a}}{{$y}}{{.}}{{end}}", "11"},
    {"{{range $i, $e := .l}}{{$i}}{{$e}}{{else}}none{{end}}", "0a1b"},
    {"{{range .none}}x{{else}}none{{end}}", "none"},
    {"{{printf \"%v %v\" .m .l}}", "map[k:v] [a b]"},
    {"{{.f | printf \"%d\"}}", "%!d(float64=1.5)"},
    {"{{true}}{{false}}", "truefalse"},
    {"{{print nil}}", "<nil>"},
    {"{{printf \"%6.2f|%+d|%x|%X|%o|%b|%c|%U|%T\" 3.14159 5 -255 255 8 5 65 65 .l}}", "  3.14|+5|-ff|FF|10|101|A|U+0041|[]interface {}"},
    {"{{print 1.0}} {{print 1e6}} {{1000000.0}} {{1e6}} {{println}}", "1 1e+06 1e+06 1e+06 \n"},
    {"{{not .n}} {{and .n 1}} {{or .n 1}}", "true <no value> 1"},
    {"{{len .l}} {{len \"h\xc3\xa9\xc3\xa9\"}} {{len .m}}", "2 5 1"},
    {"{{index .l 1 }} {{index .nested \"a\" 1}}", "b 2"},
    {"{{js \"\\u00e9\\x01\"}}", "\xc3\xa9\\u0001"},
    {"{{ .l | len }}", "2"},
    {"{{ (1) }}", "1"},
    {"{{ ( .m ).k }}", "v"},
    {"{{ .m.k | printf \"%s-%s\" \"x\" | len }}", "3"},
    {"{{range $i, $x := .l}}{{if $i}}, {{end}}{{$x}}{{end}}", "a, b"},
    {"{{with $x := \"output\"}}{{$x | printf \"%q\"}}{{end}}", "\"output\""},
    {"{{\"put\" | printf \"%s%s\" \"out\" | printf \"%q\"}}", "\"output\""},
    {"{{`\"output\"`}}", "\"output\""},
    {"{{printf \"%q\" (print \"out\" \"put\")}}", "\"output\""},
    {"{{with \"output\"}}{{printf \"%q\" .}}{{end}}", "\"output\""},
    {"{{\"output\" | printf \"%s\" | printf \"%q\"}}", "\"output\""},
    {"{{with $x := \"output\" | printf \"%q\"}}{{$x}}{{end}}", "\"output\""},
    {"{{23 -}} < {{- 45}}", "23<45"},
    {"x {{- /* a comment with white space trimmed from preceding and following text */ -}} y", "xy"},
    {"{{/* a\nb */}}x", "x"},
    {"{{- 3}}", "3"},
    {"{{-3}}", "-3"},
    {"{{ .a -}}   \n z", "1z"},
    {"{{range .nested.a}}{{continue}}x{{end}}", ""},
    {"{{range $i := .l}}{{$i}}{{end}}", "ab"},
    {"{{$v := 1}}{{range .l}}{{$v = .}}{{end}}{{$v}}", "b"},
    {"{{if and .a (eq .m.k \"v\") (not .zz)}}yes{{end}}", "yes"},
    {"{{if or .zz .n}}a{{else}}b{{end}}", "b"},
    {"{{ .a | printf \"%03d\" }}", "001"},
    {"{{index .m \"k\"}}{{index \"abc\" 1}}", "v98"},
    {"{{len \"\"}}{{len .nested.a}}", "02"},
    {"{{slice .l}}{{slice .l 0 1}}{{slice \"abc\" 2}}", "[a b][a]c"},
    {"{{printf \"%*d\" 5 3}}", "    3"},
    {"{{printf \"%.*f\" 1 3.14}}", "3.1"},
    {"{{printf \"%08.3f|%+.1e|%g|%G\" 3.14159 12345.678 1e-7 1e20}}", "0003.142|+1.2e+04|1e-07|1E+20"},
    {"{{printf \"%x %X\" \"hello\" \"hi\"}}", "68656c6c6f 6869"},
    {"{{printf \"%t %v\" false true}}", "false true"},
    {"{{printf \"%s|%10s|%-10s|\" \"\xc3\xa9\" \"\xc3\xa9\" \"\xc3\xa9\"}}", "\xc3\xa9|         \xc3\xa9|\xc3\xa9         |"},
    {"{{printf \"%q\" \"a\\tb\\\"c\\\\\"}}", "\"a\\tb\\\"c\\\\\""},
    {"{{printf \"%v|%s|%d\" .n .n .n}}", "<nil>|%!s(<nil>)|%!d(<nil>)"},
    {"{{printf \"%d %d\" 1}}", "1 %!d(MISSING)"},
    {"{{printf \"%z\" 1}}", "%!z(int=1)"},
    {"{{printf \"%\"}}", "%!(NOVERB)"},
    {"{{printf \"%d%%\" 50}}", "50%"},
    {"{{printf \"%v %v %v\" 1.5 2.0 1e7}}", "1.5 2 1e+07"},
    {"{{printf \"%5t|%-7t|\" true false}}", " true|false  |"},
    {"{{upper \"abc\"}}{{lower \"\xc3\x80""B\"}}{{trim \" x \"}}", "ABC\xc3\xa0""bx"},
    {"{{contains \"b\" \"abc\"}}{{hasPrefix \"a\" \"abc\"}}{{hasSuffix \"x\" \"abc\"}}{{replace \"a\" \"bb\" \"aXa\"}}", "truetruefalsebbXbb"},
    {"{{splitList \",\" \"a,b,,c\"}}{{len (splitList \",\" \"\")}}", "[a b  c]1"},
    {"{{eq 1 1 2}}{{eq 3 1 2}}{{eq \"a\" \"a\"}}{{eq true true}}{{eq true false}}", "truefalsetruetruefalse"},
    {"{{ne \"a\" \"b\"}}{{lt 2 1}}{{gt 2 1}}{{ge 1 1}}{{le 3 2}}{{lt 1.5 2.5}}", "truefalsetruetruefalsetrue"},
    {"{{ne .n 1}}", "true"},
    {"{{print}}", ""},
    {"{{println 1 2}}x", "1 2\nx"},
    {"{{html 1 2 \"a\"}}", "1 2a"},
    {"{{urlquery \"\xc3\xa9/?\"}}", "%C3%A9%2F%3F"},
    {"{{js \"<script>'\"}}", "\\u003Cscript\\u003E\\'"},
    {"{{.m.zz.y.x}}", "<no value>"},
    {"{{.1}}", "0.1"},
    {"{{1.}}", "1"},
    {"{{$x := 1}}{{$x}}{{$x = 2}}{{$x}}", "12"},
    {"}}", "}}"},
    {"{{.\xc3\xa9}}", "e"},
    {"{{._x}}", "u"},
    {"{{.A1b_c}}", "n"},
    {"{{print 1 | len | print}}", "1"},
    {"{{range 0}}x{{else}}none{{end}}", "none"},
    {"{{range -3}}x{{else}}none{{end}}", "none"},
    {"{{range $i := 3}}{{$i}}{{end}}", "012"},
    {"{{range $i, $j := .m}}{{$i}}{{$j}}{{end}}{{range .}}{{end}}", "kv"},
    {"{{if eq .a 1}}one{{else if eq .a 2}}two{{else}}many{{end}}", "one"},
    {"{{with .zz}}a{{else with .m}}{{.k}}{{else}}c{{end}}", "v"},
    {"{{ if .a }} x {{ else }} y {{ end }}", " x "},
    {"{{- range .l -}}  {{.}}  {{- end -}}  !", "ab!"},
    {"{{range .l}}\n{{.}}\n{{- end}}", "\na\nb"},
    {"{{index .l}}", "[a b]"},
    {"{{(index .nested \"a\")}}", "[1 2]"},
    {"{{print .f 1.0 .bigf .small .int64}}", "1.5 1 1.25e+21 1.5e-07 9007199254740993"},
    {"{{.bigf}} {{.small}} {{.int64}} {{.neg}}", "1.25e+21 1.5e-07 9007199254740993 -12"},
    {"{{println .l .m}}", "[a b] map[k:v]\n"},
    {"{{.a}}{{ .f }}{{\n.a\n}}", "11.51"},
    {"{{printf \"%v %v\" .t .fa}}{{if .fa}}x{{end}}", "true false"},
    {"{{range .l}}{{with .}}{{break}}{{end}}{{end}}ok", "ok"},
    {"{{printf \"%6d|%-6d|%06d|% d|%+d\" -5 -5 -5 5 5}}", "    -5|-5    |-00005| 5|+5"},
    {"{{printf \"%.3d|%8.3d|%-8.3d|%08.3d\" 5 5 5 5}}", "005|     005|005     |     005"},
    {"{{printf \"%c%c\" 72 0x4E16}}{{printf \"%U\" 0x1F600}}", "H\xe4\xb8\x96U+1F600"},
    {"{{printf \"%T %T %T %T %T\" 1 1.5 \"a\" true .m}}", "int float64 string bool map[string]interface {}"},
    {"{{printf \"%v\" \"a\" \"b\"}}", "a%!(EXTRA string=b)"},
    {"{{printf \"%s %s\" .l .m}}", "[a b] map[k:v]"},
    {"{{printf \"%d\" .nested.a}}", "[1 2]"},
    {"{{printf \"%o %b\" -8 -5}}", "-10 -101"},
    {"{{or 1 (len 3)}}", "1"},
    {"{{and 0 (len 3)}}", "0"},
    {"{{1 | and 2}}{{0 | or 0}}{{\"\" | and \"x\"}}", "10"},
};

/* Where Go is stricter, or has no such function. */
static const struct {
	const char *text, *printed;
} ours[] = {
    {"{{eq .a 1.0}}{{eq 2 2.0 3}}{{lt 1 1.5}}", "truetruetrue"},
    {"{{split \",\" \"a,b\"}}{{(split \"-\" \"x-y\")._1}}{{(split \"-\" \"x-y\")._7}}", "[a b]y<no value>"},
    {"{{splitList \"\" \"abc\"}}", "[a b c]"},
    {"{{join \"+\" .l}}{{join \",\" .nested.a}}{{join \",\" .none}}", "a+b1,2"},
    {"{{toJSON .m}}{{toJson .l}}{{toJSON .none}}", "{\"k\":\"v\"}[\"a\",\"b\"]null"},
    {"{{toPrettyJSON .m}}", "{\n  \"k\": \"v\"\n}"},
    {"{{default \"x\" .none}}{{default \"x\" .m.k}}{{.none | default 7}}", "xv7"},
    {"{{upper \"stra\xc3\x9f" "e\"}}{{lower \"\xc3\x84\"}}", "STRA\xe1\xba\x9e" "E\xc3\xa4"},
    {"{{printf \"%d %.1f\" 2.0 3}}", "2 3.0"},
    {"{{range $i, $x := 2}}{{$i}}{{$x}}{{end}}", "0011"},
};

static const struct {
	const char *text, *problem;
} errors[] = {
    {"{{.a", "line 1, column 5: the template ends inside an action"},
    {"{{if .a}}", "this {{if}} has no {{end}}"},
    {"x\n  {{range .l}}", "line 2, column 5: this {{range}} has no {{end}}"},
    {"{{end}}", "unexpected {{end}}"},
    {"{{else}}", "unexpected {{else}}"},
    {"{{if 1}}{{else}}{{else}}{{end}}", "a second {{else}}"},
    {"{{if 1}}{{else}}", "this {{else}} has no {{end}}"},
    {"{{if}}x{{end}}", "missing value"},
    {"{{}}", "missing value"},
    {"{{|}}", "missing value"},
    {"{{1|}}", "missing value"},
    {"{{foo .a}}", "function \"foo\" not defined"},
    {"{{ID}}", "a field begins with a dot: .ID"},
    {"{{$x}}", "undefined variable \"$x\""},
    {"{{$x = 1}}", "undefined variable \"$x\""},
    {"{{if .a}}{{$q := 5}}{{end}}{{$q}}", "undefined variable \"$q\""},
    {"{{break}}", "{{break}} outside of {{range}}"},
    {"{{range .l}}{{end}}{{continue}}", "{{continue}} outside of {{range}}"},
    {"{{\"abc}}", "the string has no end"},
    {"{{`abc}}", "the string has no end"},
    {"{{\"\\q\"}}", "unknown escape"},
    {"{{'ab'}}", "one character"},
    {"{{0x}}", "\"0x\" is no number"},
    {"{{99999999999999999999}}", "is no number"},
    {"{{08}}", "is no number"},
    {"{{(1}}", "the parenthesis has no end"},
    {"{{1)}}", "unexpected \")\""},
    {"{{end}", "unexpected \"}\""},
    {"{{/* x }}", "the comment has no end"},
    {"{{/* x */ 1}}", "unexpected \"1\""},
    {"{{true.x}}", "a constant has no fields"},
    {"{{nil}}", "nil is not a command"},
    {"{{.a 1}}", "a value takes no argument"},
    {"{{1 2}}", "a constant takes no argument"},
    {"{{\"x\" | .a}}", "a value takes no argument"},
    {"{{define \"x\"}}{{end}}", "\"define\" cannot stand here"},
    {"{{.a.b}}", "can't evaluate field b in an integer"},
    {"{{.l.foo}}", "can't evaluate field foo in a list"},
    {"{{.n.y}}", "nil has no field y"},
    {"{{len 3}}", "len: an integer has no length"},
    {"{{len}}", "len takes 1 argument, not 0"},
    {"{{eq 1}}", "eq takes at least 2 arguments, not 1"},
    {"{{slice 1 2 3 4}}", "slice takes 1 to 3 arguments, not 4"},
    {"{{eq \"a\" 1}}", "a string and an integer"},
    {"{{lt true false}}", "incompatible types"},
    {"{{eq .l .l}}", "a list cannot be compared"},
    {"{{index .l 5}}", "index out of range: 5"},
    {"{{index .l -1}}", "index out of range: -1"},
    {"{{index \"\" 0}}", "index out of range: 0"},
    {"{{index .m 1}}", "expected a string"},
    {"{{index .l \"a\"}}", "expected an integer"},
    {"{{index 3 1}}", "cannot index an integer"},
    {"{{slice .l 2 1}}", "invalid slice index"},
    {"{{slice .l 1 9}}", "index out of range: 9"},
    {"{{range \"abc\"}}{{end}}", "can't iterate over a string"},
    {"{{printf 1}}", "expected a string"},
    {"{{upper .l}}", "argument 1 is a list: expected a string"},
    {"{{join \",\" 3}}", "expected a list"},
    {"{{replace \"\" \"x\" \"y\"}}", "nothing to replace"},
    {"{{and 1 (len 3)}}", "an integer has no length"},
};

static int run(const char *text, const char *json, const struct type *of, bool items, struct buf *out, struct err *e)
{
	cleanup_arena struct arena *a = arena_new();
	json_t *j = json_loads(json, JSON_DECODE_ANY, NULL);
	int rc;

	assert_non_null(j);
	rc = gotmpl_run(text, value_from_json(a, j), of, items, a, out, e);
	json_decref(j);
	return rc;
}

static void check_prints(const char *text, const char *json, const struct type *of, bool items, const char *expected)
{
	cleanup_buf struct buf out = BUF_INIT;
	cleanup_err struct err e = ERR_INIT;

	if (run(text, json, of, items, &out, &e) < 0)
		fail_msg("%s: %s", text, err_str(&e));
	if (strcmp(out.data ? out.data : "", expected) != 0)
		fail_msg("%s prints \"%s\", expected \"%s\"", text, out.data ? out.data : "", expected);
}

static void check_fails(const char *text, const char *json, const struct type *of, const char *problem)
{
	cleanup_buf struct buf out = BUF_INIT;
	cleanup_err struct err e = ERR_INIT;

	if (run(text, json, of, false, &out, &e) != -EINVAL)
		fail_msg("%s prints \"%s\", expected the error \"%s\"", text, out.data ? out.data : "", problem);
	if (!strstr(err_str(&e), problem) || !str_starts(err_str(&e), "line "))
		fail_msg("%s: the error is \"%s\", expected line and \"%s\"", text, err_str(&e), problem);
}

static void test_a_template_prints_what_go_prints(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(same_as_go); i++)
		check_prints(same_as_go[i].text, data, NULL, false, same_as_go[i].printed);
}

static void test_numbers_compare_by_value_and_common_functions_are_there(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ours); i++)
		check_prints(ours[i].text, data, NULL, false, ours[i].printed);
}

static void test_what_is_wrong_is_said_with_its_place(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(errors); i++)
		check_fails(errors[i].text, data, NULL, errors[i].problem);
}

static void test_an_object_has_the_fields_of_its_type_and_no_others(void **state)
{
	static const char json[] = "{\"ID\": \"x\", \"Wait\": 90000000000, \"QueuedAllocations\": {\"g\": 2},"
	                           " \"FailedTGAllocs\": {\"g\": {\"CoalescedFailures\": 1}}}";

	(void)state;
	/* Fields that the answer leaves out are zero, not missing. */
	check_prints("{{.ID}}|{{.NextEval}}|{{.Priority}}|{{.AnnotatePlan}}|{{.PlanAnnotations}}", json, &type_eval, false,
	    "x||0|false|<nil>");
	check_prints("{{.Wait}} {{eq .Wait 90000000000}} {{printf \"%v %d\" .Wait .Wait}}", json, &type_eval, false,
	    "1m30s true 1m30s 90000000000");
	check_prints("{{range $g, $m := .FailedTGAllocs}}{{$g}} {{$m.CoalescedFailures}} {{$m.NodesEvaluated}}{{end}}", json,
	    &type_eval, false, "g 1 0");
	check_prints("{{.QueuedAllocations.g}}{{.QueuedAllocations.none}}", json, &type_eval, false, "2<no value>");
	check_prints("{{range .}}{{.ID}},{{.JobID}};{{end}}{{(index . 1).Type}}", "[{\"ID\": \"a\"}, {\"ID\": \"b\"}]", &type_eval,
	    true, "a,;b,;");
	check_fails("{{.Id}}", json, &type_eval, "can't evaluate field Id: Evaluation has only AnnotatePlan,");
	check_fails("{{range .FailedTGAllocs}}{{.Nodes}}{{end}}", json, &type_eval, "AllocMetric has only");
	check_fails("{{.PlanAnnotations.DesiredTGUpdates}}", json, &type_eval, "nil has no field");
}

static void test_secrets_are_no_fields(void **state)
{
	(void)state;
	check_fails("{{.SecretID}}", "{\"SecretID\": \"s\"}", &type_node, "can't evaluate field SecretID");
}

static void test_a_template_cannot_take_everything(void **state)
{
	cleanup_buf struct buf deep = BUF_INIT;

	(void)state;
	for (int i = 0; i < 80; i++)
		buf_puts(&deep, i < 40 ? "{{range $.l}}" : "{{end}}");
	check_fails(deep.data, data, NULL, "steps");
	buf_clear(&deep);
	check_fails("{{range 1000000000}}{{end}}", data, NULL, "memory");
	check_fails("{{$x := \"ab\"}}{{range 100}}{{$x = print $x $x}}{{end}}", data, NULL, "larger than");
	check_fails("{{range 10000000}}a line of text that is printed until the output is too large, which takes a while{{end}}",
	    data, NULL, "the output is larger than");
	check_fails("{{$x := print 1}}{{range 1000000}}{{$x = print $x 0}}{{end}}", data, NULL, "memory");
	for (int i = 0; i < 1000; i++)
		buf_puts(&deep, "{{if 1}}");
	check_fails(deep.data, data, NULL, "nested deeper than 100");
	buf_clear(&deep);
	buf_puts(&deep, "{{");
	for (int i = 0; i < 100000; i++)
		buf_putc(&deep, '(');
	check_fails(deep.data, data, NULL, "nested deeper than 100");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_template_prints_what_go_prints),
	    cmocka_unit_test(test_numbers_compare_by_value_and_common_functions_are_there),
	    cmocka_unit_test(test_what_is_wrong_is_said_with_its_place),
	    cmocka_unit_test(test_an_object_has_the_fields_of_its_type_and_no_others),
	    cmocka_unit_test(test_secrets_are_no_fields),
	    cmocka_unit_test(test_a_template_cannot_take_everything),
	};

	return RUN_TESTS(tests);
}
