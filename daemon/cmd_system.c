/* cmd_system: version, and maintenance of the cluster's state. */
#include "daemon/cli.h"

static int run_version(struct cmd_args *a UNUSED)
{
	puts("drover v" DROVER_VERSION);
	return 0;
}

static int run_gc(struct cmd_args *a)
{
	cleanup_err struct err e = ERR_INIT;
	struct cli c;

	if (cli_open(&c, a) < 0)
		return 1;
	if (cli_send(&c, "PUT", NULL, NULL, NULL, NULL, &e, "/v1/system/gc") < 0)
		return cli_fail("Error running system garbage-collection", &e);
	return 0;
}

static int run_reconcile(struct cmd_args *a)
{
	cleanup_err struct err e = ERR_INIT;
	struct cli c;

	if (cli_open(&c, a) < 0)
		return 1;
	if (cli_send(&c, "PUT", NULL, NULL, NULL, NULL, &e, "/v1/system/reconcile/summaries") < 0)
		return cli_fail("Error running system summary reconciliation", &e);
	return 0;
}

const struct cmd cmds_system[] = {
    {
        .words = "version",
        .usage = "",
        .synopsis = "Print the version",
        .help = "Prints the version of this executable.\n",
        .run = run_version,
    },
    {
        .words = "system gc",
        .usage = "[options]",
        .synopsis = "Forget what is dead, whatever its age",
        .help = "Removes dead jobs, ended evaluations and allocations, and nodes that are down, without waiting for their\n"
                "thresholds.\n",
        .bits = CMD_CLIENT,
        .run = run_gc,
    },
    {
        .words = "system reconcile summaries",
        .usage = "[options]",
        .synopsis = "Repair the summaries of jobs",
        .help = "Counts the allocations of every job again.\n",
        .bits = CMD_CLIENT,
        .run = run_reconcile,
    },
    {.words = NULL},
};
