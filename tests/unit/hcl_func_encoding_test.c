/* Functions that encode, decode and hash. */
#include "tests/lib/hcl_try.h"
#include "tests/lib/test.h"

static void base64_and_urls(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"base64encode(\"hällo\")", "\"aMOkbGxv\""},
	    {"base64decode(\"aMOkbGxv\")", "\"hällo\""},
	    {"base64encode(\"\")", "\"\""},
	    {"base64decode(\"\")", "\"\""},
	    {"urlencode(\"a b/c?d=é&f~g\")", "\"a+b%2Fc%3Fd%3D%C3%A9%26f~g\""},
	    {"urlencode(\"\")", "\"\""},
	};

	EXPECT_HCL(cases);
}

static void hashes(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"md5(\"x\")", "\"9dd4e461268c8034f5c8564e155c67a6\""},
	    {"sha1(\"x\")", "\"11f6ad8ec52a2984abaafd7c3b516503785c2072\""},
	    {"sha256(\"x\")", "\"2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881\""},
	    {"sha512(\"\")", "\"cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e\""},
	    {"uuidv5(\"dns\", \"example.com\")", "\"cfbff0d1-9375-5685-968c-48ce8b15ae17\""},
	    {"uuidv5(\"url\", \"http://x\")", "\"c059942f-567e-54eb-aeb5-5fd9830bce43\""},
	    {"uuidv5(\"6ba7b810-9dad-11d1-80b4-00c04fd430c8\", \"a\")", "\"4f3f2898-69e3-5a0d-820a-c4e87987dbce\""},
	    {"strlen(uuidv4())", "36"},
	    {"uuidv4() != uuidv4()", "true"},
	    {"strlen(bcrypt(\"x\", 4))", "60"},
	    {"substr(bcrypt(\"x\", 4), 0, 7)", "\"$2a$04$\""},
	};

	EXPECT_HCL(cases);
}

static void json_is_written(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"jsonencode({ b = [1, 2.5, true, null, \"x<y>&\"], a = {} })", "\"{\\\"a\\\":{},\\\"b\\\":[1,2.5,true,null,\\\"x\\\\u003cy\\\\u003e\\\\u0026\\\"]}\""},
	    {"jsonencode(\"é\\u2028\\\"\")", "\"\\\"é\\\\u2028\\\\\\\"\\\"\""},
	    {"jsonencode([])", "\"[]\""},
	    {"jsonencode(null)", "\"null\""},
	    {"jsonencode(1e21)", "\"1000000000000000000000\""},
	    {"jsonencode(0.1)", "\"0.1\""},
	    {"jsonencode(toset([\"b\", \"a\"]))", "\"[\\\"a\\\",\\\"b\\\"]\""},
	    {"jsonencode(\"\\t\\n\\\\\")", "\"\\\"\\\\t\\\\n\\\\\\\\\\\"\""},
	    {"jsonencode(123456789012345678901)", "\"123456789012345678901\""},
	};

	EXPECT_HCL(cases);
}

static void json_is_read(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"jsondecode(\"{\\\"a\\\": [1.50, true, null, \\\"\\\\u00e9\\\"]}\")", "{\"a\":[1.5,true,null,\"é\"]}"},
	    {"jsondecode(\"5\")", "5"},
	    {"jsondecode(\"\\\"s\\\"\")", "\"s\""},
	    {"jsondecode(\"null\")", "null"},
	    {"jsondecode(\"[]\")", "[]"},
	    {"jsondecode(\"{}\")", "{}"},
	    {"jsondecode(\" [1 , 2 ] \")", "[1,2]"},
	    {"jsondecode(jsonencode({ a = [1] }))", "{\"a\":[1]}"},
	};

	EXPECT_HCL(cases);
}

static void csv_is_read(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"csvdecode(\"a,b\\n1,2\\n3,4\")", "[{\"a\":\"1\",\"b\":\"2\"},{\"a\":\"3\",\"b\":\"4\"}]"},
	    {"csvdecode(\"h\\n\\\"x,y\\\"\\n\")", "[{\"h\":\"x,y\"}]"},
	    {"csvdecode(\"h\\n\\\"q\\\"\\\"q\\\"\")", "[{\"h\":\"q\\\"q\"}]"},
	    {"csvdecode(\"a,b\\n\")", "[]"},
	    {"csvdecode(\"a\\r\\n1\\r\\n\")", "[{\"a\":\"1\"}]"},
	};

	EXPECT_HCL(cases);
}

static void yaml_is_written(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"yamlencode({ b = [1, \"two\", { c = 3 }], a = \"x\" })", "\"\\\"a\\\": \\\"x\\\"\\n\\\"b\\\":\\n- 1\\n- \\\"two\\\"\\n- \\\"c\\\": 3\\n\""},
	    {"yamlencode([])", "\"[]\\n\""},
	    {"yamlencode({})", "\"{}\\n\""},
	    {"yamlencode(\"a\\nb\\n\")", "\"|\\n  a\\n  b\\n\""},
	    {"yamlencode(null)", "\"null\\n...\\n\""},
	    {"yamlencode([true, \"true\", 1, \"1\", 1.5, null, \"\"])", "\"- true\\n- \\\"true\\\"\\n- 1\\n- \\\"1\\\"\\n- 1.5\\n- null\\n- \\\"\\\"\\n\""},
	    {"yamlencode({ \"a: b\" = \"# c\" })", "\"\\\"a: b\\\": \\\"# c\\\"\\n\""},
	    {"yamlencode([[1, 2], []])", "\"- - 1\\n  - 2\\n- []\\n\""},
	    {"yamlencode(\"- x\")", "\"\\\"- x\\\"\\n\""},
	};

	EXPECT_HCL(cases);
}

static void yaml_is_read(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"yamldecode(\"a: 1\\na: 2\")", "{\"a\":2}"},
	    {"yamldecode(\"a: 1\\nb: [x, 2.5, true, ~]\")", "{\"a\":1,\"b\":[\"x\",2.5,true,null]}"},
	    {"yamldecode(\"- a\\n- b: c\")", "[\"a\",{\"b\":\"c\"}]"},
	    {"yamldecode(\"a: |\\n  x\\n  y\\n\")", "{\"a\":\"x\\ny\\n\"}"},
	    {"yamldecode(\"a: &r {g: 1}\\nb: *r\")", "{\"a\":{\"g\":1},\"b\":{\"g\":1}}"},
	    {"yamldecode(\"5\")", "5"},
	    {"yamldecode(\"'5'\")", "\"5\""},
	    {"yamldecode(\"{}\")", "{}"},
	    {"yamldecode(\"a: yes\\nb: no\\nc: null\")", "{\"a\":true,\"b\":false,\"c\":null}"},
	    {"yamldecode(\"0x1f\")", "31"},
	    {"yamldecode(\"a: >\\n  x\\n  y\\n\")", "{\"a\":\"x y\\n\"}"},
	};

	EXPECT_HCL(cases);
}

static void broken_texts_are_errors(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"yamldecode(\"\")", "!1,1-15: Error in function call; Call to function \"yamldecode\" failed: there is nothing in the text."},
	    {"base64decode(\"!\")", "!1,1-18: Error in function call; Call to function \"base64decode\" failed: the text is not base64."},
	    {"base64decode(\"/w==\")", "!1,1-21: Error in function call; Call to function \"base64decode\" failed: what it stands for is not UTF-8."},
	    {"jsondecode(\"{\")", "!1,1-16: Error in function call; Call to function \"jsondecode\" failed: the string is no JSON: line 1, column 1: string or '}' expected near end of file."},
	    {"jsondecode(\"\")", "!1,1-15: Error in function call; Call to function \"jsondecode\" failed: the string is no JSON: line 1, column 0: unexpected token near end of file."},
	    {"jsondecode(\"[1,]\")", "!1,1-19: Error in function call; Call to function \"jsondecode\" failed: the string is no JSON: line 1, column 4: unexpected token near ']'."},
	    {"jsondecode(\"nul\")", "!1,1-18: Error in function call; Call to function \"jsondecode\" failed: the string is no JSON: line 1, column 3: invalid token near 'nul'."},
	    {"csvdecode(\"a\\n1,2\")", "!1,1-20: Error in function call; Call to function \"csvdecode\" failed: record 1 has 2 fields, the header has 1."},
	    {"csvdecode(\"a,a\\n1,2\")", "!1,1-22: Error in function call; Call to function \"csvdecode\" failed: duplicate column name \"a\"."},
	    {"csvdecode(\"\")", "!1,1-14: Error in function call; Call to function \"csvdecode\" failed: the first line with the names of the columns is missing."},
	    {"csvdecode(\"a\\n\\\"x\")", "!1,1-20: Error in function call; Call to function \"csvdecode\" failed: a quoted field has no end."},
	    {"yamldecode(\"a: [1\")", "!1,1-20: Error in function call; Call to function \"yamldecode\" failed: on line 2, column 1: did not find expected ',' or ']'."},
	    {"yamldecode(\"a: *x\")", "!1,1-20: Error in function call; Call to function \"yamldecode\" failed: on line 1, column 4: found undefined alias."},
	    {"yamldecode(\"\\tx: 1\")", "!1,1-21: Error in function call; Call to function \"yamldecode\" failed: on line 1, column 1: found character that cannot start any token."},
	    {"uuidv5(\"nope\", \"x\")", "!1,1-20: Error in function call; Call to function \"uuidv5\" failed: the namespace must be dns, url, oid, x500 or a UUID."},
	    {"uuidv5(\"dns\")", "!1,1-14: Not enough function arguments; Function \"uuidv5\" expects 2 argument(s), and 1 were given."},
	    {"bcrypt(\"x\", 99)", "!1,1-16: Error in function call; Call to function \"bcrypt\" failed: the cost must be a whole number from 4 to 15."},
	    {"bcrypt(\"x\", 1)", "!1,1-15: Error in function call; Call to function \"bcrypt\" failed: the cost must be a whole number from 4 to 15."},
	    {"rsadecrypt(\"x\", \"y\")", "!1,1-21: Error in function call; Call to function \"rsadecrypt\" failed: the text is not base64."},
	    {"md5()", "!1,1-6: Not enough function arguments; Function \"md5\" expects 1 argument(s), and 0 were given."},
	    {"jsonencode()", "!1,1-13: Not enough function arguments; Function \"jsonencode\" expects 1 argument(s), and 0 were given."},
	    {"yamldecode(\"a: &a [*a]\")", "!1,1-25: Error in function call; Call to function \"yamldecode\" failed: the YAML is nested more than 200 levels deep."},
	    {"yamldecode(\"--- 1\\n--- 2\")", "!1,1-27: Error in function call; Call to function \"yamldecode\" failed: only a single document is allowed."},
	};

	EXPECT_HCL(cases);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(base64_and_urls),
	    cmocka_unit_test(hashes),
	    cmocka_unit_test(json_is_written),
	    cmocka_unit_test(json_is_read),
	    cmocka_unit_test(csv_is_read),
	    cmocka_unit_test(yaml_is_written),
	    cmocka_unit_test(yaml_is_read),
	    cmocka_unit_test(broken_texts_are_errors),
	};

	return RUN_TESTS(tests);
}
