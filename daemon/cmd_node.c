/* cmd_node: */
#include "daemon/cmd.h"

const struct cmd cmds_node[] = {
    {.words = NULL},
};
