/* cmd_alloc: */
#include "daemon/cmd.h"

const struct cmd cmds_alloc[] = {
    {.words = NULL},
};
