/* peer: addresses without a scheme are as this agent's own: with tls { http = true } all agents speak TLS. */
#include "daemon/peer.h"

#include "discovery/server_address.h"

const char *peer_url(const struct config *c, struct arena *a, const char *address)
{
	if (server_address_is_secure(address))
		return arena_strdup(a, address);
	return arena_printf(a, "%s%s", c->tls.http ? "https://" : "http://", address);
}

struct fetch_tls peer_tls(const struct config *c)
{
	return (struct fetch_tls){
	    .ca_file = c->tls.ca_file,
	    .cert_file = c->tls.cert_file,
	    .key_file = c->tls.key_file,
	    .any_name = !c->tls.verify_server_hostname,
	};
}
