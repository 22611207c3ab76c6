/* cli_find: the object that a person means by an id, or by the beginning of one. */
#ifndef DAEMON_CLI_FIND_H
#define DAEMON_CLI_FIND_H

#include "daemon/cli.h"

/*
 * The job whose id is text, else the only one whose id begins with it. Prints what is wrong (errors of the request after
 * "<what>: ") and returns NULL. When all namespaces were asked, c->ns is that of the job from here on.
 */
const struct job_stub *cli_find_job(struct cli *c, const char *what, const char *text);

#endif
