/*
 * config: what is read, what is refused and how the refusal names the place.
 */
#include "daemon/config.h"

#include <unistd.h>

#include "base/file.h"
#include "tests/lib/test.h"

static char dir[] = "/tmp/drover-config-test-XXXXXX";

/* Reads a file with this text; the error's sentence must hold `expected`, or be none when expected is NULL. */
static struct config *read_text(const char *text, const char *expected)
{
	cleanup_free char *path = path_join(dir, "a.conf");
	struct config *c = config_new();
	struct err e = ERR_INIT;
	int rc;

	assert_int_equal(file_write_atomic(path, text, strlen(text), 0600, false, NULL), 0);
	rc = config_read(c, path, &e);
	if (!expected) {
		if (rc < 0)
			fail_msg("refused: %s", err_str(&e));
	} else {
		assert_true(rc < 0);
		if (!strstr(err_str(&e), expected))
			fail_msg("expected \"%s\" in \"%s\"", expected, err_str(&e));
	}
	err_clear(&e);
	return c;
}

static void refuse(const char *text, const char *expected)
{
	config_free(read_text(text, expected));
}

static void test_values_of_every_type_are_read(void **state)
{
	struct config *c = read_text("region = \"eu\"\nlog_level = \"debug\"\nports { http = 0 }\n"
	                             "server { enabled = true heartbeat_grace = \"1m30s\" max_heartbeats_per_second = 2.5 }\n"
	                             "client { servers = {\"a:1\", \"b:2\"} meta { rack = \"r1\" os = \"linux\" } reserved { cpu = 100 } }\n"
	                             "plugin \"raw_exec\" { config { enabled = true } }\n", NULL);

	(void)state;
	assert_string_equal(c->region, "eu");
	assert_int_equal(c->log_level, LOG_DEBUG);
	assert_int_equal(c->http_port, 0);
	assert_true(c->server.enabled);
	assert_int_equal(c->server.heartbeat_grace, 90 * SECOND);
	assert_true(c->server.max_heartbeats_per_second == 2.5);
	assert_int_equal(c->client.servers.n, 2);
	assert_string_equal(c->client.servers.v[1], "b:2");
	assert_string_equal(strmap_get(&c->client.meta, "rack"), "r1");
	assert_int_equal(c->client.reserved_cpu, 100);
	assert_string_equal(strmap_get(&c->drivers_enabled, "raw_exec"), "true");
	assert_string_equal(c->datacenter, "dc1"); /* untouched default */
	assert_false(c->consul.configured);
	config_free(c);
}

static void test_errors_name_file_and_line(void **state)
{
	(void)state;
	refuse("region = \"x\"\nnope = 3\n", "a.conf:2: no such option 'nope'");
	refuse("server {\n heartbeat_grace = \"soon\"\n}\n", "a.conf:2: heartbeat_grace: expected a duration");
	refuse("client {\n gc_max_allocs = many\n}\n", "a.conf:2: invalid integer");
	refuse("client {\n\n gc_disk_usage_threshold = 120\n}\n", "a.conf:3: gc_disk_usage_threshold: 120 is out of range");
	refuse("server { enabled = maybe }\n", "a.conf:1: invalid boolean");
	refuse("ports { http = 70000 }\n", "a.conf:1: http: 70000 is out of range");
	refuse("log_level = \"loud\"\n", "a.conf:1: log_level: expected TRACE");
	refuse("\nplugin \"x\" { config { foo = 1 } }\n", "a.conf:2: no such option 'foo'");
	refuse("region = \"x\"\nserver {\n enabled = true\n", "a.conf:2: the block that begins here is not closed");
}

static void test_braces_in_strings_and_comments_are_text(void **state)
{
	(void)state;
	refuse("region = \"{\"\n# {\n// {\n/* { */\nserver { enabled = true }\n", NULL);
}

static void test_later_files_win_and_keep_the_rest(void **state)
{
	cleanup_free char *path = path_join(dir, "b.conf");
	const char *more = "client { node_class = \"ci\" }\nregion = \"us\"\n";
	struct config *c = read_text("region = \"eu\"\nclient { enabled = true }\n", NULL);
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(file_write_atomic(path, more, strlen(more), 0600, false, NULL), 0);
	assert_int_equal(config_read(c, dir, &e), 0);
	assert_string_equal(c->region, "us");
	assert_true(c->client.enabled);
	assert_string_equal(c->client.node_class, "ci");
	assert_true(config_given(c, "client.node_class"));
	assert_false(config_given(c, "datacenter"));
	unlink(path);
	config_free(c);
}

static void expect_unfinished(const char *text, const char *expected)
{
	struct config *c = read_text(text, NULL);
	struct err e = ERR_INIT;

	assert_true(config_finish(c, &e) < 0);
	if (!strstr(err_str(&e), expected))
		fail_msg("expected \"%s\" in \"%s\"", expected, err_str(&e));
	err_clear(&e);
	config_free(c);
}

static void test_what_does_not_fit_together_is_refused(void **state)
{
	(void)state;
	expect_unfinished("region = \"x\"\n", "Must specify either server, client or dev mode");
	expect_unfinished("server { enabled = true }\n", "data_dir");
	expect_unfinished("server { enabled = true }\ndata_dir = \"rel\"\n", "absolute path: got rel");
	expect_unfinished("server { enabled = true journal = \"paper\" }\ndata_dir = \"/x\"\n", "\"file\", \"memory\" or \"consul\"");
	expect_unfinished("server { enabled = true bootstrap_expect = 3 }\ndata_dir = \"/x\"\n", "bootstrap_expect = 3");
	expect_unfinished("client { enabled = true }\ndata_dir = \"/x\"\n", "client { servers } is empty");
	expect_unfinished("client { enabled = true servers = {\"a\"} min_dynamic_port = 5 max_dynamic_port = 4 }\ndata_dir = \"/x\"\n",
	    "min_dynamic_port");
}

static void test_dev_takes_both_roles_on_the_loopback(void **state)
{
	struct config *c = config_new();
	struct err e = ERR_INIT;

	(void)state;
	c->dev = true;
	assert_int_equal(config_finish(c, &e), 0);
	assert_true(c->server.enabled && c->client.enabled && c->temporary_data);
	assert_string_equal(c->bind_addr, "127.0.0.1");
	assert_string_equal(c->server.journal, "memory");
	assert_string_equal(c->advertise_http, "127.0.0.1:4646");
	assert_string_equal(strmap_get(&c->drivers_enabled, "raw_exec"), "true");
	assert_int_equal(dir_remove(c->data_dir, &e), 0);
	config_free(c);
}

static void test_the_sample_file_is_read_and_names_every_option(void **state)
{
	cleanup_buf struct buf sample = BUF_INIT, list = BUF_INIT;
	struct config *c = config_new(), *plain = config_new();
	struct err e = ERR_INIT;

	(void)state;
	if (config_read(c, "etc/drover.conf", &e) < 0)
		fail_msg("%s", err_str(&e));
	assert_false(c->consul.configured);
	assert_int_equal(file_read("etc/drover.conf", 1 << 20, &sample, &e), 0);
	config_list(&list);
	for (char *line = strtok(list.data, "\n"); line; line = strtok(NULL, "\n")) {
		char *name = line + strcspn(line, "\t");

		*name = '\0';
		name = strrchr(line, '.') ? strrchr(line, '.') + 1 : line;
		if (*name == '*')
			continue;
		cleanup_free char *as_comment = xasprintf("#%s = ", name), *in_comment = xasprintf("#\t%s", as_comment);

		if (!strstr(sample.data, as_comment) && !strstr(sample.data, in_comment))
			fail_msg("etc/drover.conf does not show %s", line);
	}
	config_free(c);
	config_free(plain);
}

static int make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	(void)state;
	return dir_remove(dir, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_values_of_every_type_are_read),
	    cmocka_unit_test(test_errors_name_file_and_line),
	    cmocka_unit_test(test_braces_in_strings_and_comments_are_text),
	    cmocka_unit_test(test_later_files_win_and_keep_the_rest),
	    cmocka_unit_test(test_what_does_not_fit_together_is_refused),
	    cmocka_unit_test(test_dev_takes_both_roles_on_the_loopback),
	    cmocka_unit_test(test_the_sample_file_is_read_and_names_every_option),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
