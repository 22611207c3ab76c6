/*
 * cli_monitor: following an evaluation to its end, and the deployment that it began, telling on the way what happens, in
 * the lines that Nomad prints. Blocking queries: a line comes when its change does.
 */
#ifndef DAEMON_CLI_MONITOR_H
#define DAEMON_CLI_MONITOR_H

#include "daemon/cli.h"

/*
 * Exit code: 0 all is placed (and the deployment successful); 2 the evaluation ended and something could not be placed,
 * which says why and does not wait for a deployment that cannot end; 1 an error, or the deployment failed.
 * ids: eight digits, or all with -verbose.
 */
int cli_monitor(struct cli *c, const char *eval_id);
/* The same of a job that was stopped: that its deployment is cancelled is as it should be. */
int cli_monitor_stop(struct cli *c, const char *eval_id);
/* The deployment alone, to its end: 0 successful, 1 anything else. */
int cli_monitor_deployment(struct cli *c, const char *id);

#endif
