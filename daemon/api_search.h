/* api_search: POST /v1/search: the ids of each kind that begin with a text, at most 20 of a kind. */
#ifndef DAEMON_API_SEARCH_H
#define DAEMON_API_SEARCH_H

#include "daemon/api.h"

void api_search(struct call *c);

#endif
