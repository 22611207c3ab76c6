#include "agent/fingerprint.h"

#include <sys/utsname.h>

/* What a core counts for where the machine tells no frequency (many ARM boards): 1 GHz. */
#define MHZ_UNKNOWN 1000

struct cpu_facts {
	int64_t cores, mhz;
	char model[128];
};

/* /proc/cpuinfo: one paragraph for each logical processor. */
static void read_cpuinfo(const struct fingerprint *f, struct cpu_facts *out)
{
	struct buf text cleanup_buf = BUF_INIT;

	if (fingerprint_read(f, "/proc/cpuinfo", &text))
		return;
	for (const char *p = text.data; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL) {
		const char *colon = strchr(p, ':');

		if (!colon)
			break;
		if (str_starts(p, "processor")) {
			out->cores++;
		} else if (str_starts(p, "cpu MHz")) {
			out->mhz = MAX(out->mhz, (int64_t)strtod(colon + 1, NULL));
		} else if (str_starts(p, "model name") && !*out->model) {
			int n = (int)strcspn(colon + 1, "\n");

			snprintf(out->model, sizeof(out->model), "%.*s", n, colon + 1 + strspn(colon + 1, " "));
			out->model[strcspn(out->model, "\n")] = '\0';
		}
	}
}

static const char *go_arch(const char *machine)
{
	static const struct {
		const char *machine, *arch;
	} names[] = { { "x86_64", "amd64" }, { "aarch64", "arm64" }, { "i686", "386" }, { "i386", "386" },
		{ "armv7l", "arm" }, { "armv6l", "arm" }, { "ppc64le", "ppc64le" }, { "s390x", "s390x" },
		{ "riscv64", "riscv64" }, { "loongarch64", "loong64" } };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (str_eq(machine, names[i].machine))
			return names[i].arch;
	return machine;
}

void fingerprint_cpu(struct fingerprint *f)
{
	struct cpu_facts facts = { 0 };
	struct buf text cleanup_buf = BUF_INIT;
	struct utsname un;
	struct node_cpu *cpu = f->node->node_resources->cpu;

	read_cpuinfo(f, &facts);
	/* The rated frequency where the kernel knows it: the momentary one differs from start to start. */
	if (!fingerprint_read(f, "/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq", &text))
		facts.mhz = MAX(strtoll(text.data, NULL, 10) / 1000, INT64_C(1));
	if (!facts.cores)
		facts.cores = MAX(sysconf(_SC_NPROCESSORS_ONLN), 1);
	if (!facts.mhz)
		facts.mhz = MHZ_UNKNOWN;
	int64_t total = f->config->total.cpu > 0 ? f->config->total.cpu : facts.cores * facts.mhz;

	fingerprint_set(f, "cpu.arch", "%s", uname(&un) == 0 ? go_arch(un.machine) : "");
	fingerprint_set(f, "cpu.numcores", "%lld", (long long)facts.cores);
	fingerprint_set(f, "cpu.reservablecores", "%lld", (long long)facts.cores);
	fingerprint_set(f, "cpu.frequency", "%lld", (long long)facts.mhz);
	fingerprint_set(f, "cpu.modelname", "%s", facts.model);
	fingerprint_set(f, "cpu.totalcompute", "%lld", (long long)total);
	MODEL_SET(node_cpu, cpu, cpu_shares, total);
	MODEL_SET(node_cpu, cpu, total_cpu_cores, facts.cores);
	struct value **cores = arena_alloc(f->arena, (size_t)facts.cores * sizeof(*cores));

	for (int64_t i = 0; i < facts.cores; i++)
		cores[i] = value_int(f->arena, i);
	MODEL_SET(node_cpu, cpu, reservable_cpu_cores, value_list(f->arena, cores, (uint32_t)facts.cores));
}

void fingerprint_memory(struct fingerprint *f)
{
	struct buf text cleanup_buf = BUF_INIT;
	int64_t bytes = 0;

	if (!fingerprint_read(f, "/proc/meminfo", &text)) {
		const char *kib = fingerprint_line(f->arena, text.data, "MemTotal", ':');

		bytes = kib ? strtoll(kib, NULL, 10) * 1024 : 0;
	}
	if (f->config->total.memory_mb > 0)
		bytes = f->config->total.memory_mb << 20;
	fingerprint_set(f, "memory.totalbytes", "%lld", (long long)bytes);
	MODEL_SET(node_memory, f->node->node_resources->memory, memory_mb, bytes >> 20);
}
