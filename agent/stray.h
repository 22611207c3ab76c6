/*
 * stray: keepers that live and that no record knows, because the folder of the records was lost or replaced. They are
 * found by their command line, which names the record, and their tasks are ended: nobody could ever stop them else, and
 * the servers have replaced them.
 */
#ifndef AGENT_STRAY_H
#define AGENT_STRAY_H

#include "base/util.h"

/* Ends the tasks of all keepers of this record that are not the one which it describes. */
void stray_end(const char *record);
/* The same for all records below a folder; how many there were. Looks at every process of the machine. */
unsigned stray_end_all(const char *records);

#endif
