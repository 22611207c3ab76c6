/*
 * Fuzzing of DNS answers. What is checked beyond memory: names end inside their arrays, addresses are addresses, counts are
 * within bounds, and reading twice gives the same.
 */
#include <arpa/inet.h>
#include <assert.h>

#include "base/util.h"
#include "discovery/dns_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct dns_records r, again;
	uint8_t *copy = xmalloc(size + 1); /* of the exact size for the sanitizer, and never empty */
	unsigned char binary[16];
	int rc;

	memcpy(copy, data, size);
	memset(&r, 0, sizeof(r));
	memset(&again, 0, sizeof(again));
	copy = xrealloc(copy, MAX(size, 1), 1);
	rc = dns_message_read(copy, size, &r);
	assert(rc == dns_message_read(copy, size, &again) && r.n_services == again.n_services);
	assert(r.n_services <= ARRAY_LEN(r.services) && r.n_addresses <= ARRAY_LEN(r.addresses));
	for (uint32_t i = 0; i < r.n_services; i++)
		assert(strnlen(r.services[i].host, 256) < 256 && *r.services[i].host);
	for (uint32_t i = 0; i < r.n_addresses; i++) {
		const char *a = r.addresses[i].address;

		assert(strnlen(r.addresses[i].host, 256) < 256);
		assert(inet_pton(AF_INET, a, binary) == 1 || inet_pton(AF_INET6, a, binary) == 1);
	}
	free(copy);
	return 0;
}
