/* sources: what is heard of servers, from files, names, pushes, a DNS server of ours and a real Consul; and the one form in
 * which an address is written. */
#include "discovery/sources.h"

#include <errno.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "discovery/resolve.h"
#include "discovery/server_address.h"
#include "tests/lib/consul_ask.h"
#include "tests/lib/consul_server.h"
#include "tests/lib/dns_server.h"
#include "tests/lib/loop.h"
#include "tests/lib/test.h"

#define UNTIL(base, condition)                                                                                         \
	do {                                                                                                           \
		int64_t end_ = clock_monotonic() + 60 * SECOND;                                                        \
		while (!(condition)) {                                                                                 \
			loop_for(base, 5 * MILLI);                                                                     \
			if (clock_monotonic() > end_)                                                                  \
				fail_msg("did not happen within 60 s: %s", #condition);                                \
		}                                                                                                      \
	} while (0)

/* ---- addresses ---- */

static const char *address(const char *text, bool secure)
{
	static char out[SERVER_ADDRESS_STR];
	struct server_address a;
	struct err e = ERR_INIT;

	if (server_address_read(text, secure, &a, &e) < 0) {
		assert_int_equal(e.code, -EINVAL);
		assert_non_null(strstr(err_str(&e), "is no address of a server; expected host:port"));
		err_clear(&e);
		return NULL;
	}
	return server_address_format(&a, out);
}

static void test_addresses_have_one_form(void **state UNUSED)
{
	static const struct {
		const char *text;
		bool secure;
		const char *is;
	} cases[] = {
	    {"10.0.0.1", false, "10.0.0.1:4646"},
	    {"10.0.0.1:80", false, "10.0.0.1:80"},
	    {"http://10.0.0.1:80/", true, "10.0.0.1:80"},
	    {"https://one.example", false, "https://one.example:4646"},
	    {"one.example:5", true, "https://one.example:5"},
	    {"[::1]:7", false, "[::1]:7"},
	    {"[::1]", false, "[::1]:4646"},
	    {"::1", false, "[::1]:4646"},
	    {"https://[fe80::1]:7", false, "https://[fe80::1]:7"},
	    {"host:", false, "host:4646"},
	    {"", false, NULL},
	    {":80", false, NULL},
	    {"host:0", false, NULL},
	    {"host:65536", false, NULL},
	    {"host:-1", false, NULL},
	    {"host:80x", false, NULL},
	    {"a b", false, NULL},
	    {"host/path", false, NULL},
	    {"ftp://host", false, NULL},
	    {"[::1", false, NULL},
	    {"[::1]x", false, NULL},
	    {"[host]:80x", false, NULL},
	    {"1:2:3", false, NULL},
	    {"user@host", false, NULL},
	    {"host\r\nX: y", false, NULL},
	};
	char url[SERVER_URL_STR];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *is = address(cases[i].text, cases[i].secure);

		if (!str_eq(is, cases[i].is) || !is != !cases[i].is)
			fail_msg("\"%s\" is %s", cases[i].text, is ? is : "refused");
		if (is) /* written, it reads as itself */
			assert_string_equal(address(cases[i].is, false), cases[i].is);
	}
	assert_string_equal(server_address_url("10.0.0.1:80", url), "http://10.0.0.1:80");
	assert_string_equal(server_address_url("https://[::1]:80", url), "https://[::1]:80");
	assert_string_equal(server_address_bare("https://[::1]:80"), "[::1]:80");
	assert_string_equal(server_address_bare("one:80"), "one:80");
}

/* ---- a place with sources ---- */

struct place {
	char dir[64], disk[96];
	struct asker asker;
	struct sources *sources;
	int changes;
	struct strs none;
};

static void on_change(void *arg)
{
	((struct place *)arg)->changes++;
}

static struct place *setup(const char *consul)
{
	struct place *p = xcalloc(1, sizeof(*p));

	strcpy(p->dir, "/tmp/drover-sources-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	snprintf(p->disk, sizeof(p->disk), "%s/servers.json", p->dir);
	p->asker = asker_new(&(struct consul_config){.address = consul ? consul : "127.0.0.1:9"});
	return p;
}

static struct sources_config config_of(struct place *p)
{
	return (struct sources_config){
	    .configured = &p->none,
	    .disk = p->disk,
	    .service = "drover",
	    .domain = "consul",
	    .region = "global",
	};
}

static void open_sources(struct place *p, const struct sources_config *c)
{
	struct err e = ERR_INIT;

	if (sources_new(p->asker.base, c, on_change, p, &p->sources, &e) < 0)
		fail_msg("%s", err_str(&e));
}

static void close_sources(struct place *p)
{
	sources_free(STEAL(p->sources));
}

static void teardown(struct place *p)
{
	close_sources(p);
	asker_free(&p->asker);
	assert_int_equal(dir_remove(p->dir, NULL), 0);
	free(p);
}

static const struct source *source_of(const struct place *p, enum source_kind kind)
{
	for (uint32_t i = 0; i < sources_count(p->sources); i++)
		if (sources_at(p->sources, i)->kind == kind)
			return sources_at(p->sources, i);
	return NULL;
}

/* "a:1,b:2!" where ! marks one whose checks are critical. */
static const char *heard(const struct place *p, enum source_kind kind)
{
	static char out[512];
	const struct source *s = source_of(p, kind);
	size_t n = 0;

	*out = '\0';
	for (uint32_t i = 0; s && i < s->n; i++)
		n += (size_t)snprintf(out + n, sizeof(out) - n, "%s%s%s", i ? "," : "", s->heard[i].address, s->heard[i].ill ? "!" : "");
	return out;
}

static const char *error_of(const struct place *p, enum source_kind kind)
{
	const char *e = source_of(p, kind)->error;

	return e ? e : "";
}

static struct strs list(const char **v, uint32_t n)
{
	return (struct strs){.v = v, .n = n};
}
#define LIST(...) list((const char *[]){__VA_ARGS__}, ARRAY_LEN(((const char *[]){__VA_ARGS__})))

static void write_disk(const struct place *p, const char *text)
{
	assert_int_equal(file_write_atomic(p->disk, text, strlen(text), 0600, false, NULL), 0);
}

/* ---- disk ---- */

static void test_a_list_on_disk_is_there_at_once_and_written_when_it_differs(void **state UNUSED)
{
	struct place *p = setup(NULL);
	struct sources_config c = config_of(p);
	struct strs good = LIST("10.0.0.2:1", "10.0.0.1", "https://one.example:5", "10.0.0.2:1");
	struct stat before, after;

	open_sources(p, &c);
	assert_string_equal(heard(p, SOURCE_DISK), "");
	assert_string_equal(error_of(p, SOURCE_DISK), "");
	sources_save(p->sources, &good);
	assert_string_equal(heard(p, SOURCE_DISK), "10.0.0.1:4646,10.0.0.2:1,https://one.example:5");
	assert_int_equal(p->changes, 1);
	assert_int_equal(stat(p->disk, &before), 0);
	assert_int_equal(before.st_mode & 0777, 0600);
	sources_save(p->sources, &good);
	assert_int_equal(stat(p->disk, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino); /* not written again */
	close_sources(p);

	open_sources(p, &c);
	assert_string_equal(heard(p, SOURCE_DISK), "10.0.0.1:4646,10.0.0.2:1,https://one.example:5");
	/* An empty list is no good one. */
	sources_save(p->sources, &p->none);
	assert_string_equal(heard(p, SOURCE_DISK), "10.0.0.1:4646,10.0.0.2:1,https://one.example:5");
	teardown(p);
}

static void test_a_damaged_list_on_disk_is_told_and_replaced(void **state UNUSED)
{
	static const char *const damaged[] = {"", "{", "[]", "{\"Servers\":7}", "{\"Servers\":[\"10.0.0.1:1\",7]}",
	    "{\"Servers\":[\"10.0.0.1:1\",\"a b\"]}"};
	struct place *p = setup(NULL);
	struct sources_config c = config_of(p);
	struct strs good = LIST("10.0.0.2:1");

	for (size_t i = 0; i < ARRAY_LEN(damaged); i++) {
		write_disk(p, damaged[i]);
		open_sources(p, &c);
		assert_string_equal(heard(p, SOURCE_DISK), "");
		assert_non_null(strstr(error_of(p, SOURCE_DISK), "is damaged"));
		sources_save(p->sources, &good);
		assert_string_equal(error_of(p, SOURCE_DISK), "");
		close_sources(p);
		open_sources(p, &c);
		assert_string_equal(heard(p, SOURCE_DISK), "10.0.0.2:1");
		close_sources(p);
	}
	/* A folder that is gone is told too, and what is known stays. */
	open_sources(p, &c);
	assert_int_equal(dir_remove(p->dir, NULL), 0);
	good = LIST("10.0.0.3:1");
	sources_save(p->sources, &good);
	assert_non_null(strstr(error_of(p, SOURCE_DISK), "No such file"));
	assert_string_equal(heard(p, SOURCE_DISK), "10.0.0.2:1");
	assert_int_equal(mkdir(p->dir, 0700), 0);
	sources_save(p->sources, &good);
	assert_string_equal(heard(p, SOURCE_DISK), "10.0.0.3:1");
	teardown(p);
}

/* ---- what others say ---- */

static void test_a_pushed_list_replaces_the_one_before(void **state UNUSED)
{
	struct place *p = setup(NULL);
	struct sources_config c = config_of(p);
	struct strs one = LIST("10.0.0.2:1", "10.0.0.1:1"), other = LIST("10.0.0.1:1", "not one", "10.0.0.3:1");

	open_sources(p, &c);
	assert_int_equal(source_of(p, SOURCE_PUSHED)->at, 0);
	sources_set(p->sources, SOURCE_PUSHED, &one);
	assert_string_equal(heard(p, SOURCE_PUSHED), "10.0.0.1:1,10.0.0.2:1");
	assert_true(source_of(p, SOURCE_PUSHED)->at > 0);
	sources_set(p->sources, SOURCE_PUSHED, &one);
	assert_int_equal(p->changes, 1);
	sources_set(p->sources, SOURCE_PUSHED, &other);
	assert_string_equal(heard(p, SOURCE_PUSHED), "10.0.0.1:1,10.0.0.3:1");
	assert_non_null(strstr(error_of(p, SOURCE_PUSHED), "\"not one\""));
	assert_int_equal(p->changes, 2);
	teardown(p);
}

static void test_sources_that_are_off_say_why(void **state UNUSED)
{
	struct place *p = setup(NULL);
	struct sources_config c = config_of(p);

	open_sources(p, &c);
	assert_string_equal(source_of(p, SOURCE_CONSUL)->off, "no consul {} block");
	assert_string_equal(source_of(p, SOURCE_DNS)->off, "no consul {} block");
	close_sources(p);
	c.consul = p->asker.consul;
	c.dns = "";
	open_sources(p, &c);
	assert_null(source_of(p, SOURCE_CONSUL)->off);
	assert_string_equal(source_of(p, SOURCE_DNS)->off, "consul { dns = \"\" }");
	close_sources(p);
	c.consul_off = "client_auto_join = false";
	open_sources(p, &c);
	assert_string_equal(source_of(p, SOURCE_CONSUL)->off, "client_auto_join = false");
	assert_string_equal(source_of(p, SOURCE_DNS)->off, "client_auto_join = false");
	teardown(p);
}

static void test_what_is_configured_wrongly_ends_the_start(void **state UNUSED)
{
	struct place *p = setup(NULL);
	struct sources_config c = config_of(p);
	struct strs wrong = LIST("10.0.0.1:1", "10.0.0.1:99999");
	struct err e = ERR_INIT;

	c.configured = &wrong;
	assert_int_equal(sources_new(p->asker.base, &c, on_change, p, &p->sources, &e), -EINVAL);
	assert_non_null(strstr(err_str(&e), "client { servers }: \"10.0.0.1:99999\" is no address of a server"));
	c.configured = &p->none;
	c.consul = p->asker.consul;
	c.dns = "nowhere";
	assert_int_equal(sources_new(p->asker.base, &c, on_change, p, &p->sources, &e), -EINVAL);
	assert_non_null(strstr(err_str(&e), "consul { dns }"));
	err_clear(&e);
	teardown(p);
}

/* ---- names ---- */

static void test_a_configured_name_is_looked_up_by_the_rules_of_this_machine(void **state UNUSED)
{
	struct place *p = setup(NULL);
	struct sources_config c = config_of(p);
	struct strs names = LIST("localhost:77"), unknown = LIST("no-such-host.invalid"), secure = LIST("https://localhost:77");

	c.configured = &names;
	open_sources(p, &c);
	assert_string_equal(heard(p, SOURCE_CONFIGURED), "");
	UNTIL(p->asker.base, source_of(p, SOURCE_CONFIGURED)->n);
	assert_non_null(strstr(heard(p, SOURCE_CONFIGURED), ":77"));
	assert_string_equal(source_of(p, SOURCE_CONFIGURED)->where, "localhost:77");
	close_sources(p);

	c.configured = &unknown;
	open_sources(p, &c);
	UNTIL(p->asker.base, *error_of(p, SOURCE_CONFIGURED));
	assert_non_null(strstr(error_of(p, SOURCE_CONFIGURED), "looking up no-such-host.invalid: "));
	close_sources(p);

	/* The certificate bears the name. */
	c.configured = &secure;
	open_sources(p, &c);
	assert_string_equal(heard(p, SOURCE_CONFIGURED), "https://localhost:77");
	/* Ends in the middle of a look-up. */
	close_sources(p);
	c.configured = &unknown;
	open_sources(p, &c);
	loop_for(p->asker.base, MILLI);
	teardown(p);
}

static void on_never(void *arg UNUSED, const struct resolve_answer *answer UNUSED)
{
	fail_msg("a look-up that was cancelled has answered");
}

static void test_a_look_up_that_is_cancelled_never_answers(void **state UNUSED)
{
	struct event_base *base = loop_new();
	struct resolve *r;

	for (int i = 0; i < 20; i++) {
		assert_int_equal(resolve_start(base, "localhost", on_never, NULL, &r, NULL), 0);
		usleep((useconds_t)i * 200);
		resolve_cancel(r);
	}
	loop_for(base, 50 * MILLI);
	loop_free(base);
}

/* ---- DNS ---- */

struct zone {
	bool silent, empty;
	int port;
};

static void answer_zone(struct dns_exchange *x)
{
	struct zone *z = x->arg;

	x->silent = z->silent;
	if (z->empty) {
		answer_code(x, 3);
		return;
	}
	answer_srv(x, 0, 1, z->port, "b.node.consul");
	answer_srv(x, 0, 1, z->port, "a.node.consul");
	further_a(x, "a.node.consul", 0, "10.0.0.1");
	further_a(x, "b.node.consul", 0, "10.0.0.2");
}

static void test_dns_that_comes_late_is_heard_and_what_it_said_stays_while_it_is_silent(void **state UNUSED)
{
	struct zone z = {.empty = true, .port = 21};
	struct dns_server *server = dns_server_start(answer_zone, &z);
	struct place *p = setup(NULL);
	struct sources_config c = config_of(p);

	c.consul = p->asker.consul;
	c.dns = dns_server_address(server);
	open_sources(p, &c);
	UNTIL(p->asker.base, *error_of(p, SOURCE_DNS) && *error_of(p, SOURCE_CONSUL));
	assert_non_null(strstr(error_of(p, SOURCE_CONSUL), "Failed to connect"));
	z.empty = false;
	UNTIL(p->asker.base, source_of(p, SOURCE_DNS)->n == 2); /* nobody answers: it is asked again soon */
	assert_string_equal(heard(p, SOURCE_DNS), "10.0.0.1:21,10.0.0.2:21");
	assert_string_equal(error_of(p, SOURCE_DNS), "");
	z.silent = true;
	UNTIL(p->asker.base, *error_of(p, SOURCE_DNS));
	assert_string_equal(heard(p, SOURCE_DNS), "10.0.0.1:21,10.0.0.2:21");
	teardown(p);
	dns_server_stop(server);
}

static void test_while_a_server_answers_dns_is_left_in_peace(void **state UNUSED)
{
	struct zone z = {.port = 21};
	struct dns_server *server = dns_server_start(answer_zone, &z);
	struct place *p = setup(NULL);
	struct sources_config c = config_of(p);

	c.consul = p->asker.consul;
	c.dns = dns_server_address(server);
	open_sources(p, &c);
	sources_hurry(p->sources, false);
	UNTIL(p->asker.base, source_of(p, SOURCE_DNS)->n);
	loop_for(p->asker.base, 3 * SECOND);
	assert_int_equal(dns_server_messages(server), 1);
	/* Nobody answers any more: it is asked at once. An answer that there is none is one too. */
	z.empty = true;
	sources_hurry(p->sources, true);
	UNTIL(p->asker.base, dns_server_messages(server) == 2 && !source_of(p, SOURCE_DNS)->n);
	teardown(p);
	dns_server_stop(server);
}

/* ---- Consul ---- */

static void add_instance(struct asker *a, const char *id, int port, const char *region, const char *status)
{
	cleanup_arena struct arena *arena = arena_new();
	struct consul_service_registration *r = MODEL_NEW(arena, consul_service_registration);
	struct consul_check_registration *check = MODEL_NEW(arena, consul_check_registration);

	MODEL_SET(consul_service_registration, r, id, id);
	MODEL_SET(consul_service_registration, r, name, "drover");
	MODEL_SET(consul_service_registration, r, address, "10.0.0.1");
	MODEL_SET(consul_service_registration, r, port, port);
	if (region)
		strmap_set(arena, &r->meta, SERVER_META_REGION, region);
	if (port == 3)
		strmap_set(arena, &r->meta, SERVER_META_SCHEME, "https");
	MODEL_SET(consul_check_registration, check, ttl, HOUR);
	MODEL_SET(consul_check_registration, check, status, status);
	objs_push(arena, &r->checks, check);
	asker_do(a, &consul_service_register, &(struct consul_args){.name = id, .object = r});
}

static void test_instances_in_consul_are_heard_as_they_come_fall_ill_and_go(void **state UNUSED)
{
	struct consul_server *real = consul_server_start("");
	struct place *p = setup(consul_server_ask(real, "address 0"));
	struct sources_config c = config_of(p);

	c.consul = p->asker.consul;
	open_sources(p, &c);
	UNTIL(p->asker.base, strstr(error_of(p, SOURCE_CONSUL), "no instance of the service \"drover\""));
	add_instance(&p->asker, "one", 1, "global", "passing");
	UNTIL(p->asker.base, str_eq(heard(p, SOURCE_CONSUL), "10.0.0.1:1"));
	add_instance(&p->asker, "two", 2, NULL, "critical");
	add_instance(&p->asker, "three", 3, "global", "warning");
	add_instance(&p->asker, "abroad", 4, "mars", "passing");
	UNTIL(p->asker.base, str_eq(heard(p, SOURCE_CONSUL), "10.0.0.1:1,10.0.0.1:2!,https://10.0.0.1:3"));
	asker_do(&p->asker, &consul_service_deregister, &(struct consul_args){.name = "one"});
	asker_do(&p->asker, &consul_service_deregister, &(struct consul_args){.name = "two"});
	asker_do(&p->asker, &consul_service_deregister, &(struct consul_args){.name = "three"});
	UNTIL(p->asker.base, strstr(error_of(p, SOURCE_CONSUL), "are of another cluster"));
	assert_string_equal(heard(p, SOURCE_CONSUL), "");
	teardown(p);
	consul_server_stop(real);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_addresses_have_one_form),
	    cmocka_unit_test(test_a_list_on_disk_is_there_at_once_and_written_when_it_differs),
	    cmocka_unit_test(test_a_damaged_list_on_disk_is_told_and_replaced),
	    cmocka_unit_test(test_a_pushed_list_replaces_the_one_before),
	    cmocka_unit_test(test_sources_that_are_off_say_why),
	    cmocka_unit_test(test_what_is_configured_wrongly_ends_the_start),
	    cmocka_unit_test(test_a_configured_name_is_looked_up_by_the_rules_of_this_machine),
	    cmocka_unit_test(test_a_look_up_that_is_cancelled_never_answers),
	    cmocka_unit_test(test_dns_that_comes_late_is_heard_and_what_it_said_stays_while_it_is_silent),
	    cmocka_unit_test(test_while_a_server_answers_dns_is_left_in_peace),
	    cmocka_unit_test(test_instances_in_consul_are_heard_as_they_come_fall_ill_and_go),
	};

	return RUN_TESTS(tests);
}
