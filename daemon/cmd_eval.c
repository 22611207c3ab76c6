/* cmd_eval: */
#include "daemon/cmd.h"

const struct cmd cmds_eval[] = {
    {.words = NULL},
};
