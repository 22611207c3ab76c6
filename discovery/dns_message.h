/* dns_message: the records of a DNS answer (RFC 1035, SRV of RFC 2782) that a look-up of a service needs. */
#ifndef DISCOVERY_DNS_MESSAGE_H
#define DISCOVERY_DNS_MESSAGE_H

#include "discovery/dns.h"

struct dns_service {
	char host[256];
	uint16_t port, priority, weight;
	uint32_t ttl; /* seconds */
};

struct dns_address {
	char host[256]; /* owner of the record */
	char address[46];
	uint32_t ttl;
};

/* What further records would not fit is left out. */
struct dns_records {
	struct dns_service services[DNS_MAX_TARGETS];
	struct dns_address addresses[2 * DNS_MAX_TARGETS];
	uint32_t n_services, n_addresses;
};

/*
 * Adds the SRV records of the answer section, and A and AAAA records of any section, to `out`. An address that was reached
 * through CNAMEs of the message gets the name that was asked for as its owner. -EPROTO when the message ends in the middle of
 * a record or names go in a circle; what came before is in `out` then.
 */
int dns_message_read(const uint8_t *p, size_t n, struct dns_records *out);

#endif
