/* cmd_server: */
#include "daemon/cmd.h"

const struct cmd cmds_server[] = {
    {.words = NULL},
};
