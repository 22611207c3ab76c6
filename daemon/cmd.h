/*
 * cmd: the command table. One entry holds everything about a command: words, aliases, flags, usage, help, function.
 * `drover help`, the man page and the completion are made from it, and tests check it against the docs.
 */
#ifndef DAEMON_CMD_H
#define DAEMON_CMD_H

#include "base/buf.h"
#include "base/err.h"
#include "base/model.h"

enum flag_kind { CMD_BOOL, CMD_STR, CMD_INT, CMD_DUR, CMD_LIST /* repeatable */ };
struct cmd_flag {
	const char *name; /* without dash */
	enum flag_kind kind;
	const char *arg;  /* "<duration>", NULL for CMD_BOOL */
	const char *help;
};

struct cmd_args {
	const struct cmd *cmd;
	const char **pos; /* positional arguments, ended by NULL */
	int n_pos;
	struct map *flags; /* name -> struct strs, use the getters */
	struct arena *arena;
};
bool arg_bool(const struct cmd_args *a, const char *flag);                      /* false when not given */
const char *arg_str(const struct cmd_args *a, const char *flag, const char *unset);
int64_t arg_int(const struct cmd_args *a, const char *flag, int64_t unset);     /* CMD_INT and CMD_DUR (ns) */
const struct strs *arg_list(const struct cmd_args *a, const char *flag);        /* never NULL */
bool arg_given(const struct cmd_args *a, const char *flag);

enum cmd_bits {
	CMD_CLIENT = 1, /* takes the global client flags (-address, -namespace, ...) */
	CMD_JSON = 2,   /* takes -json and -t */
	CMD_HIDDEN = 4,
};
struct cmd {
	const char *words;    /* "job status" */
	const char *aliases;  /* "old-spelling,other", or NULL */
	const char *usage;    /* "[options] <job>" */
	const char *synopsis; /* one line for lists of commands */
	const char *help;     /* paragraphs, ended by a line break */
	const struct cmd_flag *flags; /* ended by name NULL; NULL = none */
	int min_pos, max_pos;         /* max -1 = any number */
	const char *takes; /* ends "This command takes ..." when the number is wrong; NULL: made from the counts */
	unsigned bits;
	int misuse;                   /* exit code for wrong arguments; 0 means 1 */
	int (*run)(struct cmd_args *a); /* exit code */
};

struct cmd_group { /* the first words of commands: "job", "operator raft" */
	const char *words, *synopsis, *help;
};

/* The tables of commands: X(name) stands for `const struct cmd cmds_name[]`, ended by words NULL, in a daemon/cmd_*.c. */
#define CMD_TABLES(X) \
	X(run) \
	X(plan) \
	X(status) \
	X(why) \
	X(job) \
	X(job_status) \
	X(job_history) \
	X(job_init) \
	X(alloc) \
	X(alloc_status) \
	X(alloc_checks) \
	X(alloc_files) \
	X(node) \
	X(node_drain) \
	X(node_status) \
	X(node_capacity) \
	X(node_scale_in) \
	X(client) \
	X(eval) \
	X(consul) \
	X(server) \
	X(operator) \
	X(operator_api) \
	X(system) \
	X(agent) \
	X(agent_info) \
	X(docs)
#define CMD_DECLARE(name) extern const struct cmd cmds_##name[];
CMD_TABLES(CMD_DECLARE)
extern const struct cmd *const cmd_tables[]; /* ended by NULL */
extern const struct cmd_flag cmd_client_flags[], cmd_json_flags[];
extern const struct cmd_group cmd_groups[]; /* ended by words NULL */

/* Finds the command, parses flags, runs it. Go-style flags: -f v, -f=v, --f; flags before positionals. */
int cmd_main(int argc, char **argv);

/* Complains about the arguments in the words of the command line: "<text>" and where help is; gives the exit code. */
int cmd_misused(const struct cmd *c, const char *fmt, ...) PRINTF(2, 3);

/* The command with exactly these words, or this alias; NULL when there is none. */
const struct cmd *cmd_find(const char *words);

/* ---- help (cmd_help.c) ---- */
void cmd_help_command(const struct cmd *c, FILE *out);
void cmd_help_group(const char *words, FILE *out); /* "" = all commands */
bool cmd_is_group(const char *words);

#endif
