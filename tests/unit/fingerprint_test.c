#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/stat.h>

#include "agent/fingerprint.h"
#include "agent/signals.h"
#include "agent/usage.h"
#include "agent/usage_host.h"
#include "base/file.h"

struct scene {
	struct arena *arena;
	struct client_config config;
	struct node node;
	struct fingerprint f;
	char root[64];
};

static void put(struct scene *x, const char *path, const char *text)
{
	cleanup_free char *full = xasprintf("%s%s", x->root, path);
	cleanup_free char *folder = xstrndup(full, (size_t)(strrchr(full, '/') - full));

	assert_int_equal(0, dir_make(folder, 0755, NULL));
	assert_int_equal(0, file_write_atomic(full, text, strlen(text), 0644, false, NULL));
}

static int begin(void **state)
{
	struct scene *x = xcalloc(1, sizeof(*x));

	x->arena = arena_new();
	strcpy(x->root, "/tmp/drover-finger-XXXXXX");
	assert_non_null(mkdtemp(x->root));
	x->config = (struct client_config){ .datacenter = "dc1", .name = "n", .alloc_dir = x->root, .http_addr = "127.0.0.1:4646",
		.bind_ip = "127.0.0.1" };
	x->f = (struct fingerprint){ .arena = x->arena, .node = &x->node, .config = &x->config, .root = x->root };
	*state = x;
	return 0;
}

static int finish(void **state)
{
	struct scene *x = *state;

	dir_remove(x->root, NULL);
	arena_free(x->arena);
	free(x);
	return 0;
}

#define EQ(key, value)                                                                                                 \
	assert_string_equal(value, strmap_get(&x->node.attributes, key) ? strmap_get(&x->node.attributes, key) : "(unset)")

static void test_cpu_and_memory_from_proc(void **state)
{
	struct scene *x = *state;

	put(x, "/proc/cpuinfo", "processor\t: 0\nmodel name\t: Intel(R) Xeon(R) Processor\ncpu MHz\t\t: 2299.998\n\n"
	    "processor\t: 1\nmodel name\t: Intel(R) Xeon(R) Processor\ncpu MHz\t\t: 2300.400\n\n");
	put(x, "/proc/meminfo", "MemTotal:       24684092 kB\nMemFree:  1 kB\n");
	fingerprint_node(&x->f);
	EQ("cpu.numcores", "2");
	EQ("cpu.frequency", "2300");
	EQ("cpu.totalcompute", "4600");
	EQ("cpu.modelname", "Intel(R) Xeon(R) Processor");
	EQ("memory.totalbytes", "25276510208");
	assert_int_equal(4600, x->node.node_resources->cpu->cpu_shares);
	assert_int_equal(24105, x->node.node_resources->memory->memory_mb);
}

static void test_the_rated_frequency_wins(void **state)
{
	struct scene *x = *state;

	put(x, "/proc/cpuinfo", "processor : 0\ncpu MHz : 801.0\n");
	put(x, "/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq", "3400000\n");
	fingerprint_node(&x->f);
	EQ("cpu.frequency", "3400");
}

static void test_overrides_win(void **state)
{
	struct scene *x = *state;

	x->config.total.cpu = 1000;
	x->config.total.memory_mb = 512;
	x->config.total.disk_mb = 2048;
	x->config.reserved.cpu = 100;
	fingerprint_node(&x->f);
	EQ("cpu.totalcompute", "1000");
	assert_int_equal(512, x->node.node_resources->memory->memory_mb);
	assert_int_equal(2048, x->node.node_resources->disk->disk_mb);
	assert_int_equal(100, x->node.reserved_resources->cpu->cpu_shares);
}

static void test_debian_tells_its_point_release(void **state)
{
	struct scene *x = *state;

	put(x, "/etc/os-release", "PRETTY_NAME=\"Debian\"\nVERSION_ID=\"12\"\nID=debian\n");
	put(x, "/etc/debian_version", "12.11\n");
	fingerprint_node(&x->f);
	EQ("os.name", "debian");
	EQ("os.version", "12.11");
}

static void test_cgroup_versions(void **state)
{
	struct scene *x = *state;

	put(x, "/sys/fs/cgroup/cgroup.controllers", "cpu memory\n");
	fingerprint_node(&x->f);
	EQ("os.cgroups.version", "2");
}

static void test_the_bind_address_comes_first(void **state)
{
	struct scene *x = *state;

	fingerprint_node(&x->f);
	EQ("unique.network.ip-address", "127.0.0.1");
	const struct node_network *n = x->node.node_resources->node_networks.v[0];

	assert_string_equal("lo", n->device);
	assert_string_equal("127.0.0.1", ((struct node_network_address *)n->addresses.v[0])->address);
}

static void test_drivers_are_off_unless_enabled(void **state)
{
	struct scene *x = *state;

	fingerprint_node(&x->f);
	assert_null(strmap_get(&x->node.attributes, "driver.raw_exec"));
	x->node = (struct node){ 0 };
	strmap_set(x->arena, &x->config.drivers_enabled, "raw_exec", "true");
	fingerprint_node(&x->f);
	EQ("driver.raw_exec", "1");
	x->node = (struct node){ 0 };
	strmap_set(x->arena, &x->config.options, "driver.denylist", "docker, raw_exec");
	fingerprint_node(&x->f);
	assert_null(strmap_get(&x->node.attributes, "driver.raw_exec"));
}

static void test_the_class_ignores_what_is_unique(void **state)
{
	struct scene *x = *state;
	uint64_t class;

	fingerprint_node(&x->f);
	class = fingerprint_class(&x->node);
	fingerprint_set(&x->f, "unique.hostname", "another");
	strmap_set(x->arena, &x->node.meta, "unique.serial", "7");
	assert_true(class == fingerprint_class(&x->node));
	strmap_set(x->arena, &x->node.meta, "rack", "r1");
	assert_false(class == fingerprint_class(&x->node));
}

static void test_a_process_name_may_hold_anything(void **state)
{
	struct usage_proc p;

	(void)state;
	assert_true(usage_parse_stat("42 (a) b (c) S 1 7 9 0 -1 4194560 1 2 3 4 150 50 0 0 20 0 1 0 100 1000 300 1 2", &p));
	assert_int_equal(42, p.pid);
	assert_int_equal(1, p.ppid);
	assert_int_equal(9, p.session);
	assert_int_equal(150, p.user);
	assert_int_equal(50, p.system);
	assert_int_equal(300, p.rss);
	assert_false(usage_parse_stat("42 (a", &p));
	assert_false(usage_parse_stat("", &p));
}

static void test_cpu_lines_of_proc_stat(void **state)
{
	struct cpu_times t;
	uint32_t core;

	(void)state;
	assert_true(usage_host_parse_cpu("cpu3 10 1 20 100 5 2 3 0 0 0", &core, &t));
	assert_int_equal(3, core);
	assert_int_equal(11, t.user);
	assert_int_equal(25, t.system);
	assert_int_equal(105, t.idle);
	assert_false(usage_host_parse_cpu("cpu  10 1 20 100 5 2 3", &core, &t));
	assert_false(usage_host_parse_cpu("intr 1", &core, &t));
}

static void test_signals_by_name_and_number(void **state)
{
	static const char *const words[] = { "SIGTERM", "TERM", "sigterm", "15" };
	int n;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		assert_int_equal(0, signal_parse(words[i], &n, NULL));
		assert_int_equal(15, n);
	}
	assert_true(signal_parse("SIGNOPE", &n, NULL) < 0);
	assert_true(signal_parse("", &n, NULL) < 0);
	assert_true(signal_parse("0", &n, NULL) < 0);
	assert_true(signal_parse("99999", &n, NULL) < 0);
	assert_non_null(strstr(signal_names(), "SIGUSR1"));
}

#define T(f) cmocka_unit_test_setup_teardown(f, begin, finish)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_cpu_and_memory_from_proc),
		T(test_the_rated_frequency_wins),
		T(test_overrides_win),
		T(test_debian_tells_its_point_release),
		T(test_cgroup_versions),
		T(test_the_bind_address_comes_first),
		T(test_drivers_are_off_unless_enabled),
		T(test_the_class_ignores_what_is_unique),
		T(test_a_process_name_may_hold_anything),
		T(test_cpu_lines_of_proc_stat),
		T(test_signals_by_name_and_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
