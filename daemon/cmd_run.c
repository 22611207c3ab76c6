/* cmd_run: */
#include "daemon/cmd.h"

const struct cmd cmds_run[] = {
    {.words = NULL},
};
