/* cmd_operator: */
#include "daemon/cmd.h"

const struct cmd cmds_operator[] = {
    {.words = NULL},
};
