/*
 * services_compare: whether an entry in Consul is what is wanted, and whose it is. Pure; for discovery/services.c.
 */
#ifndef DISCOVERY_SERVICES_COMPARE_H
#define DISCOVERY_SERVICES_COMPARE_H

#include "discovery/services.h"

/* Completes a registration: marks in its meta, ids of its checks. In the arena. */
struct consul_service_registration *services_complete(const struct consul_service_registration *given,
    const struct services_config *c, const char *cluster, struct arena *a);
/* What of the service differs from what is wanted: the name of a field, or NULL. A wanted text that holds a variable which nobody
 * could fill in (${...}) is equal to any text that has the rest of it. */
const char *services_difference(const struct consul_service_registration *want, const struct consul_service *present);
/* The first wanted check that is not among those of the service, or the first one there that is not wanted: its id, or NULL. */
const char *services_check_difference(
    const struct consul_service_registration *want, const struct consul_checks_by_id *present);
/* The same of one text. */
bool services_text_equal(const char *want, const char *present);
/* The two values of a field that services_difference named, as texts; in the arena. */
void services_show(const char *field, const struct consul_service_registration *want, const struct consul_service *present,
    struct arena *a, const char **want_text, const char **present_text);
/* Whether the entry is ours, by the rules of discovery/services.h. */
bool services_is_ours(const struct consul_service *present, const struct services_config *c, const char *cluster);

#endif
