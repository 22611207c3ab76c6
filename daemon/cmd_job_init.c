/* cmd_job_init: `job init`: a job file to begin with. */
#include "daemon/cmd.h"

#include <errno.h>
#include <fcntl.h>

#include "base/file.h"

#define DEFAULT_PATH "example.nomad"

static const char short_text[] =
    "job \"example\" {\n"
    "  datacenters = [\"dc1\"]\n"
    "\n"
    "  group \"web\" {\n"
    "    network {\n"
    "      port \"http\" {}\n"
    "    }\n"
    "\n"
    "    task \"server\" {\n"
    "      driver = \"raw_exec\"\n"
    "\n"
    "      config {\n"
    "        command = \"python3\"\n"
    "        args    = [\"-m\", \"http.server\", \"${NOMAD_PORT_http}\"]\n"
    "      }\n"
    "\n"
    "      resources {\n"
    "        cpu    = 100\n"
    "        memory = 64\n"
    "      }\n"
    "    }\n"
    "  }\n"
    "}\n";

static const char long_text[] =
    "# A job is what you want to run. Check this file with `drover job validate`, see what it would do with\n"
    "# `drover job plan`, run it with `drover job run`, look at it with `drover status example`.\n"
    "job \"example\" {\n"
    "  # Where it may run: any of these datacenters. \"*\" matches all.\n"
    "  datacenters = [\"dc1\"]\n"
    "\n"
    "  # service: runs until it is stopped. batch: runs to its end. system: one on every node. sysbatch: to its end,\n"
    "  # on every node.\n"
    "  type = \"service\"\n"
    "\n"
    "  # How a new version replaces the old one: so many allocations at a time, each of which has to stay healthy for\n"
    "  # min_healthy_time before the next one is replaced.\n"
    "  update {\n"
    "    max_parallel     = 1\n"
    "    health_check     = \"task_states\"\n"
    "    min_healthy_time = \"5s\"\n"
    "    healthy_deadline = \"3m\"\n"
    "  }\n"
    "\n"
    "  # Only on nodes for which this holds. Attributes of a node: `drover node status -verbose <node>`.\n"
    "  constraint {\n"
    "    attribute = \"${attr.kernel.name}\"\n"
    "    value     = \"linux\"\n"
    "  }\n"
    "\n"
    "  # A group is a set of tasks that run together on one node; count says how many such sets there are.\n"
    "  group \"web\" {\n"
    "    count = 1\n"
    "\n"
    "    # A port of the node, chosen when the group is placed. `static = 8080` asks for that one. Tasks read it from\n"
    "    # NOMAD_PORT_http.\n"
    "    network {\n"
    "      port \"http\" {}\n"
    "    }\n"
    "\n"
    "    # A task that ends is started again on its node, two times in half an hour at most; then the allocation has\n"
    "    # failed and is placed anew, on another node where there is one.\n"
    "    restart {\n"
    "      attempts = 2\n"
    "      interval = \"30m\"\n"
    "      delay    = \"15s\"\n"
    "      mode     = \"fail\"\n"
    "    }\n"
    "\n"
    "    # Disk that the tasks of the group share: $NOMAD_ALLOC_DIR/data.\n"
    "    ephemeral_disk {\n"
    "      size = 300 # MiB\n"
    "    }\n"
    "\n"
    "    task \"server\" {\n"
    "      # raw_exec starts the program as it is, without a root of its own. It has to be enabled on the nodes\n"
    "      # (plugin \"raw_exec\"); `drover agent -dev` enables it.\n"
    "      driver = \"raw_exec\"\n"
    "\n"
    "      config {\n"
    "        command = \"python3\"\n"
    "        args    = [\"-m\", \"http.server\", \"${NOMAD_PORT_http}\"]\n"
    "      }\n"
    "\n"
    "      env {\n"
    "        GREETING = \"hello from ${NOMAD_ALLOC_NAME}\"\n"
    "      }\n"
    "\n"
    "      # What it gets: MHz and MiB. A node takes no more than it has.\n"
    "      resources {\n"
    "        cpu    = 100\n"
    "        memory = 64\n"
    "      }\n"
    "    }\n"
    "  }\n"
    "}\n";

static int run_init(struct cmd_args *a)
{
	const char *path = a->n_pos ? a->pos[0] : DEFAULT_PATH, *text = arg_bool(a, "short") ? short_text : long_text;
	cleanup_close int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	if (fd < 0 && errno == EEXIST) {
		fprintf(stderr, "Job '%s' already exists\n", path);
		return 1;
	}
	if (fd < 0 || file_write_all(fd, text, strlen(text)) < 0) {
		fprintf(stderr, "Failed to write '%s': %s\n", path, strerror(errno));
		return 1;
	}
	printf("Example job file written to %s\n", path);
	return 0;
}

static const struct cmd_flag flags[] = {
    {"short", CMD_BOOL, NULL, "Without the comments."},
    {NULL, 0, NULL, NULL},
};

const struct cmd cmds_job_init[] = {
    {
        .words = "job init",
        .aliases = "init",
        .usage = "[options] [<path>]",
        .synopsis = "Write a job file to begin with",
        .help = "Writes a small commented job file to " DEFAULT_PATH ", or to the path given. What is there is not\n"
                "overwritten.\n",
        .flags = flags,
        .max_pos = 1,
        .run = run_init,
    },
    {.words = NULL},
};
