/*
 * cli_follow: streams of frames (daemon/frames.h) that go out as they come: logs, files, the monitor. A reader that has
 * seen enough (`| head`) and an interrupt end the program with 0.
 */
#ifndef DAEMON_CLI_FOLLOW_H
#define DAEMON_CLI_FOLLOW_H

#include "daemon/cli.h"

struct cli_followed {
	const char *path; /* of the API */
	int fd;           /* where to */
	bool beats;       /* see cli_streams */
};
/* All at once, until each has ended. At most two. */
int cli_follow(struct cli *c, const struct cli_followed *f, size_t n, struct err *e);

#endif
