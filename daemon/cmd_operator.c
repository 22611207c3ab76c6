/* cmd_operator: what those who run the cluster look at. */
#include <errno.h>
#include <sys/stat.h>

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

const struct cmd cmds_operator[] = {
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
