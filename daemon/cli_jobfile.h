/*
 * cli_jobfile: the job file that a command names: a path, a URL, or "-" for standard input; parsed with the variables of
 * the command line and the environment.
 */
#ifndef DAEMON_CLI_JOBFILE_H
#define DAEMON_CLI_JOBFILE_H

#include "daemon/cli.h"

/* Of every command that reads a job file. */
#define FLAGS_JOBFILE                                                                                          \
	{"var", CMD_LIST, "<name>=<value>", "Value of an input variable. May be given several times."},         \
	    {"var-file", CMD_LIST, "<path>", "File with values of input variables. May be given several times."}, \
	    {"hcl2-strict", CMD_BOOL, NULL, "Refuse -var of variables that the file does not declare. Default: true"}, \
	    {"json", CMD_BOOL, NULL, "The job file is JSON, as the API takes it or as -output prints it."},     \
	    {"hcl1", CMD_BOOL, NULL, "Refused: job files of HCL version 1 are not read."},                      \
	    {"vault-namespace", CMD_STR, "<name>", "Kept in the job as its Vault namespace."}

#define JOBFILE_HELP                                                                                             \
	"The path may be a URL (http, https) or \"-\" for standard input. Input variables come from NOMAD_VAR_<name>\n" \
	"and DROVER_VAR_<name>, from -var-file and from -var; of several values the later one counts.\n"

struct jobfile {
	const char *path;
	struct job *job; /* as parsed: what the file does not set is unset */
	struct job_submission *submission; /* the source, for the server to keep */
};

/*
 * Reads the file that the only argument of the command names. Region and namespace of the job, when the file sets them,
 * are those of the requests from here on. Prints what is wrong and returns negative.
 */
int jobfile_read(struct cli *c, struct jobfile *out);

/* Prints warnings of the server as a block, nothing when there are none. */
void jobfile_warnings(const struct cli *c, const char *warnings);

#endif
