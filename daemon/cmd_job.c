/* cmd_job: */
#include "daemon/cmd.h"

const struct cmd cmds_job[] = {
    {.words = NULL},
};
