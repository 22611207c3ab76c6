/* Text with ${ } and %{ }: interpolation, directives, trimming, heredocs and their indentation. */
#include "tests/lib/hcl_try.h"
#include "tests/lib/test.h"

static void values_become_text(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"\"a${1}b\"", "\"a1b\""},
	    {"\"${true}!\"", "\"true!\""},
	    {"\"${1.50}!\"", "\"1.5!\""},
	    {"\"${\"s\"}!\"", "\"s!\""},
	    {"\"<${\"é\"}>\"", "\"\\u003cé\\u003e\""},
	    {"\"${0.1 + 0.2}!\"", "\"0.3!\""},
	};

	EXPECT_HCL(cases);
}

static void what_is_no_text_cannot_stand_in_it_is_an_error(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"\"${null}!\"", "!1,2-9: Invalid template interpolation value; text can hold a string, number or boolean, and this is null"},
	    {"\"${[1]}!\"", "!1,2-8: Invalid template interpolation value; text can hold a string, number or boolean, and this is tuple"},
	    {"\"${{}}!\"", "!1,2-7: Invalid template interpolation value; text can hold a string, number or boolean, and this is object"},
	};

	EXPECT_HCL(cases);
}

static void a_lone_interpolation_keeps_its_value(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"\"${1}\"", "1"},
	    {"\"${[1, 2]}\"", "[1,2]"},
	    {"\"${true}\"", "true"},
	    {"\"${null}\"", "null"},
	    {"\"${{ a = 1 }}\"", "{\"a\":1}"},
	    {"\"${\"${1}\"}\"", "1"},
	};

	EXPECT_HCL(cases);
}

static void templates_nest(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"\"o ${\"i ${\"d\"} i\"} o\"", "\"o i d i o\""},
	    {"\"${upper(\"${lower(\"ABC\")}x\")}\"", "\"ABCX\""},
	    {"\"${\"a\" == \"a\" ? \"${\"yes\"}\" : \"no\"}\"", "\"yes\""},
	    {"\"${join(\",\", [\"${1}\", \"b\"])}\"", "\"1,b\""},
	    {"\"{${\"}\"}\"", "\"{}\""},
	};

	EXPECT_HCL(cases);
}

static void directives_choose(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"\"%{ if true }a%{ else }b%{ endif }\"", "\"a\""},
	    {"\"%{ if false }a%{ else }b%{ endif }\"", "\"b\""},
	    {"\"%{ if false }a%{ endif }\"", "\"\""},
	    {"\"[%{ if 1 == 1 }x%{ endif }]\"", "\"[x]\""},
	    {"\"%{ if true }%{ if false }1%{ else }2%{ endif }%{ endif }\"", "\"2\""},
	    {"\"%{if true}a%{endif}\"", "\"a\""},
	    {"\"%{ if \"true\" }a%{ endif }\"", "\"a\""},
	};

	EXPECT_HCL(cases);
}

static void directives_repeat(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"\"%{ for v in [1, 2] }<${v}>%{ endfor }\"", "\"\\u003c1\\u003e\\u003c2\\u003e\""},
	    {"\"%{ for k, v in { b = 1, a = 2 } }${k}${v};%{ endfor }\"", "\"a2;b1;\""},
	    {"\"%{ for i, v in [\"x\", \"y\"] }${i}${v}%{ endfor }\"", "\"0x1y\""},
	    {"\"%{ for v in [] }x%{ endfor }\"", "\"\""},
	    {"\"%{ for a in [1, 2] }%{ for b in [\"x\", \"y\"] }${a}${b} %{ endfor }%{ endfor }\"", "\"1x 1y 2x 2y \""},
	    {"\"%{ for v in toset([\"b\", \"a\"]) }${v}%{ endfor }\"", "\"ab\""},
	};

	EXPECT_HCL(cases);
}

static void tildes_trim(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"\"a  ${~ 1 ~}  b\"", "\"a1b\""},
	    {"\"a  ${~ 1 }  b\"", "\"a1  b\""},
	    {"\"a  ${ 1 ~}  b\"", "\"a  1b\""},
	    {"\"a \\n\\t ${~ 1 ~} \\n b\"", "\"a1b\""},
	    {"\"a %{ if true ~}  b  %{~ endif } c\"", "\"a b c\""},
	    {"\"a ${~ \" x \" ~} b\"", "\"a x b\""},
	    {"\"%{ for v in [1, 2] ~}  ${v}  %{~ endfor }\"", "\"12\""},
	    {"\"${~ 1 ~}\"", "1"},
	    {"\"a ${~ 1 ~} ${~ 2 ~} b\"", "\"a12b\""},
	};

	EXPECT_HCL(cases);
}

static void broken_directives_are_errors(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"\"%{ if true }a\"", "!1,2-4: Unterminated template directive; this %{ if } or %{ for } has no %{ endif } or %{ endfor }"},
	    {"\"%{ endif }\"", "!1,2-12: Unexpected template directive; this %{ else }, %{ endif } or %{ endfor } has no %{ if } or %{ for } before it"},
	    {"\"%{ else }\"", "!1,2-11: Unexpected template directive; this %{ else }, %{ endif } or %{ endfor } has no %{ if } or %{ for } before it"},
	    {"\"%{ for x in [1] }\"", "!1,2-4: Unterminated template directive; this %{ if } or %{ for } has no %{ endif } or %{ endfor }"},
	    {"\"%{ for x }a%{ endfor }\"", "!1,11-12: Invalid 'for' directive; expected %{ for name in collection } or %{ for key, value in collection }"},
	    {"\"%{ foo }\"", "!1,5-8: Invalid template directive; expected if, else, endif, for or endfor after %{"},
	    {"\"%{ if true }a%{ else }b%{ else }c%{ endif }\"", "!1,25-34: Unexpected template directive; this %{ else }, %{ endif } or %{ endfor } has no %{ if } or %{ for } before it"},
	    {"\"%{ for x in [1] }a%{ endif }\"", "!1,20-30: Unexpected template directive; this %{ else }, %{ endif } or %{ endfor } has no %{ if } or %{ for } before it"},
	    {"\"%{ if }a%{ endif }\"", "!1,8-9: Invalid expression; expected a value: a number, text in quotes, true, false, null, a list, an object, a name or a call"},
	    {"\"%{ if \"maybe\" }a%{ endif }\"", "!1,8-15: Incorrect condition type; The condition must be true or false; it is a string."},
	    {"\"%{ for x in 5 }a%{ endfor }\"", "!1,14-15: Iteration over non-iterable value; a for expression goes over a list, set, map or object, and this is a number"},
	    {"\"%{ if null }a%{ endif }\"", "!1,8-12: Incorrect condition type; The condition must be true or false; it is a null."},
	    {"\"%{ for x in [1] }${x}%{ else }%{ endfor }\"", "!1,23-32: Unexpected template directive; this %{ else }, %{ endif } or %{ endfor } has no %{ if } or %{ for } before it"},
	};

	EXPECT_HCL(cases);
}

static void heredocs_keep_their_lines(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"<<EOF\none\n  two\nEOF\n", "\"one\\n  two\\n\""},
	    {"<<EOF\nEOF\n", "\"\""},
	    {"<<EOF\n\nEOF\n", "\"\\n\""},
	    {"<<EOF\na\n   EOF\n", "\"a\\n\""},
	    {"<<EOF\nEOFX\n xEOF\nEOF y\nEOF\n", "\"EOFX\\n xEOF\\nEOF y\\n\""},
	    {"<<END-1\nx\nEND-1\n", "\"x\\n\""},
	    {"<<EOF\n\\n \"q\" 'a' `b` \\u0041\nEOF\n", "\"\\\\n \\\"q\\\" 'a' `b` \\\\u0041\\n\""},
	    {"<<EOF\n$${x} %%{y} $$ %% 100%\nEOF\n", "\"${x} %{y} $$ %% 100%\\n\""},
	    {"upper(<<EOF\nx\nEOF\n)", "\"X\\n\""},
	    {"[<<A\n1\nA\n, <<B\n2\nB\n]", "[\"1\\n\",\"2\\n\"]"},
	    {"<<EOF\n${1}${2}\nEOF\n", "\"12\\n\""},
	    {"<<EOF\n${<<IN\nx\nIN\n}\nEOF\n", "\"x\\n\\n\""},
	    {"<<EOF\n${1}\nEOF\n", "\"1\\n\""},
	    {"<<EOF\ntrailing  \n\ttab\nEOF\n", "\"trailing  \\n\\ttab\\n\""},
	};

	EXPECT_HCL(cases);
}

static void flush_heredocs_lose_the_least_indentation(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"<<-EOF\n    one\n      two\n    EOF\n", "\"one\\n  two\\n\""},
	    {"<<-EOF\n  a\n\n  b\nEOF\n", "\"a\\n\\nb\\n\""},
	    {"<<-EOF\n\ta\n\t\tb\n\tEOF\n", "\"a\\n\\tb\\n\""},
	    {"<<-EOF\n    a\n  b\n      c\nEOF\n", "\"  a\\nb\\n    c\\n\""},
	    {"<<-EOF\n  ${1} x\n    ${2} y\n  EOF\n", "\"1 x\\n  2 y\\n\""},
	    {"<<-EOF\n  %{ if true }\n    a\n  %{ endif }\n  EOF\n", "\"\\n  a\\n\\n\""},
	    {"<<-EOF\n  %{ for v in [1, 2] ~}\n  - ${v}\n  %{ endfor ~}\n  EOF\n", "\"  - 1\\n  - 2\\n\""},
	    {"<<-EOF\n  ${\"a\\n  b\"}\n  EOF\n", "\"a\\n  b\\n\""},
	    {"<<-EOF\nnone\n  EOF\n", "\"none\\n\""},
	    {"<<-EOF\n   \n  a\n  EOF\n", "\"   \\na\\n\""},
	    {"<<-EOF\n    a ${1}\n  b\n  EOF\n", "\"  a 1\\nb\\n\""},
	};

	EXPECT_HCL(cases);
}

static void trims_reach_over_lines_of_heredocs(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"<<EOF\na\n%{~ if true ~}\nb\n%{~ endif ~}\nc\nEOF\n", "\"abc\\n\""},
	    {"<<EOF\n%{ for v in [1, 2] ~}\n${v}\n%{ endfor ~}\nEOF\n", "\"1\\n2\\n\""},
	    {"<<EOF\na   ${~ 1 ~}\n\n   b\nEOF\n", "\"a1\\n   b\\n\""},
	    {"<<EOF\n%{ for v in [1, 2] }\n${v}\n%{ endfor }\nEOF\n", "\"\\n1\\n\\n2\\n\\n\""},
	};

	EXPECT_HCL(cases);
}

static void broken_heredocs_are_errors(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"<<EOF\nx\n", "!1,1-3: Unterminated template string; the heredoc has no end: a line that holds its marker alone"},
	    {"<<\nx\n", "!1,1-3: Invalid heredoc; expected << or <<- and a marker word alone, then the text from the next line on"},
	    {"<<EOF x\nEOF\n", "!1,1-6: Invalid heredoc; expected << or <<- and a marker word alone, then the text from the next line on"},
	    {"<< EOF\nx\nEOF\n", "!1,1-3: Invalid heredoc; expected << or <<- and a marker word alone, then the text from the next line on"},
	    {"<<EOF", "!1,1-6: Invalid heredoc; expected << or <<- and a marker word alone, then the text from the next line on"},
	    {"<<EOF\n${1\nEOF\n", "!3,1-4: Extra characters after interpolation expression; expected } here"},
	};

	EXPECT_HCL(cases);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(values_become_text),
	    cmocka_unit_test(what_is_no_text_cannot_stand_in_it_is_an_error),
	    cmocka_unit_test(a_lone_interpolation_keeps_its_value),
	    cmocka_unit_test(templates_nest),
	    cmocka_unit_test(directives_choose),
	    cmocka_unit_test(directives_repeat),
	    cmocka_unit_test(tildes_trim),
	    cmocka_unit_test(broken_directives_are_errors),
	    cmocka_unit_test(heredocs_keep_their_lines),
	    cmocka_unit_test(flush_heredocs_lose_the_least_indentation),
	    cmocka_unit_test(trims_reach_over_lines_of_heredocs),
	    cmocka_unit_test(broken_heredocs_are_errors),
	};

	return RUN_TESTS(tests);
}
