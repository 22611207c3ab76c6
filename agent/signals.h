/*
 * signals: names and numbers of the signals that a job file or a person may name: "SIGTERM", "TERM", "sigterm", "15".
 */
#ifndef AGENT_SIGNALS_H
#define AGENT_SIGNALS_H

#include "base/err.h"

/* -EINVAL with the list of names for another word. */
int signal_parse(const char *word, int *out, struct err *e);
const char *signal_name(int signal); /* "SIGTERM", NULL when it has none here */
/* All names, comma-separated: the attribute os.signals. */
const char *signal_names(void);

#endif
