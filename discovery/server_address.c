#include "discovery/server_address.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>

#define PLAIN  "http://"
#define SECURE "https://"

static int wrong(const char *text, struct err *e)
{
	return err_set(e, -EINVAL, "\"%s\" is no address of a server; expected host:port, such as 10.0.0.1:4646, with https:// before it for TLS",
	    text);
}

static bool is_address(const char *host)
{
	unsigned char binary[16];

	return inet_pton(AF_INET, host, binary) == 1 || inet_pton(AF_INET6, host, binary) == 1;
}

static bool is_host(const char *host)
{
	if (!*host)
		return false;
	for (const char *p = host; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("-._:", *p))
			return false;
	return !strchr(host, ':') || is_address(host);
}

/* The port behind a colon; "" stands for none. */
static int read_port(const char *text, uint16_t *out)
{
	char *end;
	long n;

	if (!*text)
		return 0;
	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	errno = 0;
	n = strtol(text, &end, 10);
	if (errno || *end || n < 1 || n > 65535)
		return -EINVAL;
	*out = (uint16_t)n;
	return 0;
}

int server_address_read(const char *text, bool secure, struct server_address *out, struct err *e)
{
	struct server_address a = {.secure = secure, .port = SERVER_PORT};
	const char *rest = text, *end, *port = "";

	if (str_starts(rest, PLAIN) || str_starts(rest, SECURE)) {
		a.secure = str_starts(rest, SECURE);
		rest += strlen(a.secure ? SECURE : PLAIN);
	}
	end = rest + strcspn(rest, "/");
	if (*end && end[1]) /* one slash at the end is fine */
		return wrong(text, e);
	cleanup_free char *host = xstrndup(rest, (size_t)(end - rest));
	char *colon = strrchr(host, ':'), *h = host;

	if (*host == '[') {
		h = host + 1;
		colon = strchr(host, ']');
		if (!colon || (colon[1] && colon[1] != ':'))
			return wrong(text, e);
		port = colon[1] ? colon + 2 : "";
		*colon = '\0';
	} else if (colon && colon == strchr(host, ':')) {
		port = colon + 1;
		*colon = '\0';
	}
	if (!is_host(h) || strlen(h) >= sizeof(a.host) || read_port(port, &a.port) < 0)
		return wrong(text, e);
	strcpy(a.host, h);
	a.is_name = !is_address(h);
	*out = a;
	return 0;
}

const char *server_address_format(const struct server_address *a, char out[SERVER_ADDRESS_STR])
{
	snprintf(out, SERVER_ADDRESS_STR, strchr(a->host, ':') ? "%s[%s]:%u" : "%s%s:%u", a->secure ? SECURE : "", a->host, a->port);
	return out;
}

bool server_address_is_secure(const char *address)
{
	return str_starts(address, SECURE);
}

const char *server_address_bare(const char *address)
{
	return address + (server_address_is_secure(address) ? strlen(SECURE) : 0);
}

const char *server_address_url(const char *address, char out[SERVER_URL_STR])
{
	snprintf(out, SERVER_URL_STR, "%s%s", server_address_is_secure(address) ? "" : PLAIN, address);
	return out;
}
