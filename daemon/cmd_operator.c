/* cmd_operator: what those who run the cluster look at. */
#include <errno.h>
#include <sys/stat.h>

#include "base/codec.h"
#include "base/file.h"
#include "daemon/cli_show.h"
#include "sched/journal.h"

/* ---- the journal, without an agent ---- */

/* The journal's folder: the one given, or the one below it when it is a data folder. */
static char *journal_folder(const char *given)
{
	static const char *const below[] = {"server/journal", "journal"};
	struct stat st;

	for (size_t i = 0; i < ARRAY_LEN(below); i++) {
		cleanup_free char *path = path_join(given, below[i]);

		if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
			return STEAL(path);
	}
	return xstrdup(given);
}

static void put_report(struct arena *a, const char *folder, const struct journal_report *r)
{
	struct table t = table_new(a, "<none>");
	char text[SIZE_STR];

	kv(&t, "Folder", "%s", folder);
	kv(&t, "Segments", "%llu", (unsigned long long)r->segments);
	kv(&t, "Snapshots", "%llu", (unsigned long long)r->snapshots);
	kv(&t, "Entries", "%llu", (unsigned long long)r->entries);
	kv(&t, "Size", "%s", size_format((int64_t)r->bytes, text));
	kv(&t, "First Index", "%llu", (unsigned long long)r->first_index);
	kv(&t, "Last Index", "%llu", (unsigned long long)r->last_index);
	if (r->torn_bytes)
		kv(&t, "Torn Tail", "%llu bytes, never acknowledged; cut at the next start", (unsigned long long)r->torn_bytes);
	kv(&t, "Damage", "%s", r->damage ? r->damage : "none");
	kv_print(&t, stdout);
}

static int run_verify(struct cmd_args *a)
{
	cleanup_free char *folder = journal_folder(a->n_pos ? a->pos[0] : "/var/lib/drover");
	struct journal_report r = {0};
	cleanup_err struct err e = ERR_INIT;
	cleanup_free char *damage = NULL;

	if (journal_file_verify(folder, &r, &e) < 0)
		return cli_fail("Error reading the journal", &e);
	damage = r.damage;
	if (!r.segments && !r.snapshots) {
		fprintf(stderr, "Error reading the journal: %s holds none\n", folder);
		return 1;
	}
	put_report(a->arena, folder, &r);
	if (!damage)
		return 0;
	fflush(stdout);
	fprintf(stderr, "The journal is damaged: %s\n", damage);
	return 1;
}

/* ---- the servers that share it ---- */

static int run_peers(struct cmd_args *a)
{
	cleanup_err struct err e = ERR_INIT;
	const struct value *servers;
	struct value *v;
	struct table t;
	struct cli c;

	if (cli_open(&c, a) < 0)
		return 1;
	if (cli_get_value(&c, &v, &e, "/v1/operator/raft/configuration%s", arg_bool(a, "stale") ? "?stale" : "") < 0)
		return cli_fail("Failed to retrieve raft configuration", &e);
	servers = show_at(v, "Servers");
	t = table_new(c.arena, "");
	table_row(&t, "Node|ID|Address|State|Voter|RaftProtocol");
	for (uint32_t i = 0; servers && servers->kind == VAL_LIST && i < servers->n; i++) {
		const struct value *s = servers->items[i];

		table_cell(&t, "%s", show_text(s, "Node"));
		table_cell(&t, "%s", show_text(s, "ID"));
		table_cell(&t, "%s", show_text(s, "Address"));
		table_cell(&t, "%s", show_flag(s, "Leader") ? "leader" : "follower");
		table_cell(&t, "%s", show_flag(s, "Voter") ? "true" : "false");
		table_cell(&t, "%s", show_text(s, "RaftProtocol"));
		table_end_row(&t);
	}
	table_print(&t, stdout);
	return 0;
}

/* ---- the scheduler's configuration ---- */

static int read_scheduler(struct cli *c, struct scheduler_config *out, struct value **raw, struct err *e)
{
	const struct value *found;
	cleanup_buf struct buf b = BUF_INIT;

	if (cli_get_value(c, raw, e, "/v1/operator/scheduler/configuration") < 0)
		return e->code;
	found = show_at(*raw, "SchedulerConfig");
	if (!found || found->kind != VAL_MAP)
		return err_set(e, -EPROTO, "the answer holds no SchedulerConfig");
	value_print_json(&b, found, 0, 0);
	return codec_from_text(&type_scheduler_config, out, b.data, b.len, c->arena, e);
}

static const char *yes(bool b)
{
	return b ? "true" : "false";
}

static int run_get_config(struct cmd_args *a)
{
	static const struct preemption_config none;
	struct scheduler_config s = {0};
	const struct preemption_config *p;
	cleanup_err struct err e = ERR_INIT;
	struct value *raw;
	struct table t;
	struct cli c;
	int code;

	if (cli_open(&c, a) < 0)
		return 1;
	if (read_scheduler(&c, &s, &raw, &e) < 0)
		return cli_fail("Error querying scheduler configuration", &e);
	if (cli_format_value(&c, raw, &code))
		return code;
	p = s.preemption_config ? s.preemption_config : &none;
	t = table_new(c.arena, "<none>");
	kv(&t, "Scheduler Algorithm", "%s", s.scheduler_algorithm ? s.scheduler_algorithm : "");
	kv(&t, "Memory Oversubscription", "%s", yes(s.memory_oversubscription_enabled));
	kv(&t, "Reject Job Registration", "%s", yes(s.reject_job_registration));
	kv(&t, "Pause Eval Broker", "%s", yes(s.pause_eval_broker));
	kv(&t, "Preemption System Scheduler", "%s", yes(p->system_scheduler_enabled));
	kv(&t, "Preemption Service Scheduler", "%s", yes(p->service_scheduler_enabled));
	kv(&t, "Preemption Batch Scheduler", "%s", yes(p->batch_scheduler_enabled));
	kv(&t, "Preemption SysBatch Scheduler", "%s", yes(p->sysbatch_scheduler_enabled));
	kv(&t, "Modify Index", "%lld", (long long)s.modify_index);
	kv_print(&t, stdout);
	return 0;
}

/* Takes the value of a flag that was given; other settings stay as they are. */
#define TAKE(obj, field, flag)                                                                                         \
	do {                                                                                                           \
		if (arg_given(a, flag))                                                                                \
			(obj)->field = arg_bool(a, flag);                                                              \
	} while (0)

static void take_settings(const struct cmd_args *a, struct scheduler_config *s, struct preemption_config *p)
{
	TAKE(s, memory_oversubscription_enabled, "memory-oversubscription");
	TAKE(s, reject_job_registration, "reject-job-registration");
	TAKE(s, pause_eval_broker, "pause-eval-broker");
	TAKE(p, system_scheduler_enabled, "preempt-system-scheduler");
	TAKE(p, service_scheduler_enabled, "preempt-service-scheduler");
	TAKE(p, batch_scheduler_enabled, "preempt-batch-scheduler");
	TAKE(p, sysbatch_scheduler_enabled, "preempt-sysbatch-scheduler");
	s->scheduler_algorithm = arg_str(a, "scheduler-algorithm", s->scheduler_algorithm);
	s->has = UINT64_MAX >> (64 - type_scheduler_config.n);
	p->has = UINT64_MAX >> (64 - type_preemption_config.n);
}

/* Written under the index that was read, so that of two who change it at once the second is told. */
static int run_set_config(struct cmd_args *a)
{
	struct scheduler_config s = {0};
	cleanup_err struct err e = ERR_INIT;
	struct value *raw, *answer;
	struct cli c;

	if (cli_open(&c, a) < 0)
		return 1;
	if (read_scheduler(&c, &s, &raw, &e) < 0)
		return cli_fail("Error querying for current scheduler configuration", &e);
	if (!s.preemption_config)
		s.preemption_config = MODEL_NEW(c.arena, preemption_config);
	take_settings(a, &s, s.preemption_config);
	if (cli_send(&c, "PUT", &type_scheduler_config, &s, NULL, &answer, &e, "/v1/operator/scheduler/configuration?cas=%lld",
	        (long long)arg_int(a, "check-index", s.modify_index)) < 0)
		return cli_fail("Error setting scheduler configuration", &e);
	if (!show_flag(answer, "Updated")) {
		fputs("Scheduler configuration could not be atomically updated, please try again\n", stderr);
		return 1;
	}
	puts("Scheduler configuration updated!");
	return 0;
}

/* ---- metrics ---- */

static int run_metrics(struct cmd_args *a)
{
	const char *format = arg_str(a, "format", "");
	cleanup_err struct err e = ERR_INIT;
	struct value *v;
	const char *text;
	struct cli c;
	int code;
	size_t n;

	if (cli_open(&c, a) < 0)
		return 1;
	if (str_empty(format) || str_eq(format, "json")) {
		if (cli_get_value(&c, &v, &e, "/v1/metrics") < 0)
			return cli_fail("Error getting metrics", &e);
		if (!cli_format_value(&c, v, &code)) {
			cleanup_buf struct buf b = BUF_INIT;

			value_print_json(&b, v, str_eq(arg_str(a, "pretty", "true"), "true") ? 4 : 0, 0);
			puts(b.data);
			code = 0;
		}
		return code;
	}
	if (cli_get_text(&c, &text, &n, &e, "/v1/metrics?format=%s", cli_escape(&c, format)) < 0)
		return cli_fail("Error getting metrics", &e);
	fwrite(text, 1, n, stdout);
	return 0;
}

static const struct cmd_flag peers_flags[] = {
    {"stale", CMD_BOOL, NULL, "Ask any server, not only the leader."},
    {NULL, 0, NULL, NULL},
};
static const struct cmd_flag set_flags[] = {
    {"scheduler-algorithm", CMD_STR, "<name>", "binpack fills nodes one after the other, spread fills all alike."},
    {"memory-oversubscription", CMD_BOOL, NULL, "Whether tasks may have a memory_max above their memory."},
    {"reject-job-registration", CMD_BOOL, NULL, "Whether jobs are refused."},
    {"pause-eval-broker", CMD_BOOL, NULL, "Whether scheduling stands still."},
    {"preempt-system-scheduler", CMD_BOOL, NULL, "Whether system jobs push out others of lower priority."},
    {"preempt-service-scheduler", CMD_BOOL, NULL, "The same of service jobs."},
    {"preempt-batch-scheduler", CMD_BOOL, NULL, "The same of batch jobs."},
    {"preempt-sysbatch-scheduler", CMD_BOOL, NULL, "The same of sysbatch jobs."},
    {"check-index", CMD_INT, "<index>", "Only when this is still the Modify Index. Default: the one at the start"},
    {NULL, 0, NULL, NULL},
};
static const struct cmd_flag metrics_flags[] = {
    {"pretty", CMD_BOOL, NULL, "Indented; -pretty=false prints one line."},
    {"format", CMD_STR, "<format>", "json or prometheus. Default: json"},
    {NULL, 0, NULL, NULL},
};

const struct cmd cmds_operator[] = {
    {
        .words = "operator raft list-peers",
        .usage = "[options]",
        .synopsis = "List the servers that share the journal",
        .help = "Lists the servers and which of them leads.\n",
        .flags = peers_flags,
        .bits = CMD_CLIENT,
        .run = run_peers,
    },
    {
        .words = "operator scheduler get-config",
        .usage = "[options]",
        .synopsis = "Show how the scheduler works",
        .help = "Shows the settings of the scheduler that can be changed while it runs.\n",
        .bits = CMD_CLIENT | CMD_JSON,
        .run = run_get_config,
    },
    {
        .words = "operator scheduler set-config",
        .usage = "[options]",
        .synopsis = "Change how the scheduler works",
        .help = "Changes the settings that are given as flags; the others stay. When somebody else changes them at the same\n"
                "time, nothing is changed and the exit code is 1.\n",
        .flags = set_flags,
        .bits = CMD_CLIENT,
        .run = run_set_config,
    },
    {
        .words = "operator metrics",
        .usage = "[options]",
        .synopsis = "Print the figures of an agent",
        .help = "Prints what the agent measures about itself.\n",
        .flags = metrics_flags,
        .bits = CMD_CLIENT | CMD_JSON,
        .run = run_metrics,
    },
    {
        .words = "operator journal verify",
        .usage = "[options] <folder>",
        .synopsis = "Check the journal on disk, without an agent",
        .help = "Reads the whole journal of a server and checks every frame. The folder is the server's data folder, or the\n"
                "journal's own; default: /var/lib/drover. Nothing is changed, and an agent may be running. Damage is named\n"
                "with file, offset and index, and the exit code is then 1. A torn tail is none: what it held was never\n"
                "acknowledged.\n",
        .max_pos = 1,
        .run = run_verify,
    },
    {.words = NULL},
};
