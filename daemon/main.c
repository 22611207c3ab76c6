/*
 * main: the command table does the rest (daemon/cmd.h).
 */
#include "daemon/cmd.h"

int main(int argc, char **argv)
{
	return cmd_main(argc, argv);
}
