#include "agent/fingerprint.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#define SPEED_UNKNOWN 1000 /* Mbit/s */

/* Interface of the default route in /proc/net/route (destination 00000000). */
static void default_interface(const struct fingerprint *f, char out[IFNAMSIZ])
{
	struct buf text cleanup_buf = BUF_INIT;

	if (fingerprint_read(f, "/proc/net/route", &text))
		return;
	for (const char *p = text.data; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL) {
		char name[IFNAMSIZ], dest[16];

		if (sscanf(p, "%15s %15s", name, dest) == 2 && str_eq(dest, "00000000")) {
			snprintf(out, IFNAMSIZ, "%s", name);
			return;
		}
	}
}

/* Text and prefix length of an address worth telling; false for link-local and other families. */
static bool address_text(const struct ifaddrs *i, char text[INET6_ADDRSTRLEN], int *prefix)
{
	const void *addr, *mask;
	size_t n;

	if (!i->ifa_addr)
		return false;
	if (i->ifa_addr->sa_family == AF_INET) {
		addr = &((const struct sockaddr_in *)(const void *)i->ifa_addr)->sin_addr;
		mask = i->ifa_netmask ? &((const struct sockaddr_in *)(const void *)i->ifa_netmask)->sin_addr : NULL;
		n = 4;
	} else if (i->ifa_addr->sa_family == AF_INET6) {
		addr = &((const struct sockaddr_in6 *)(const void *)i->ifa_addr)->sin6_addr;
		mask = i->ifa_netmask ? &((const struct sockaddr_in6 *)(const void *)i->ifa_netmask)->sin6_addr : NULL;
		n = 16;
		if (IN6_IS_ADDR_LINKLOCAL((const struct in6_addr *)addr))
			return false;
	} else {
		return false;
	}
	*prefix = 0;
	for (size_t b = 0; mask && b < n; b++)
		*prefix += __builtin_popcount(((const uint8_t *)mask)[b]);
	return inet_ntop(i->ifa_addr->sa_family, addr, text, INET6_ADDRSTRLEN) != NULL;
}

/* Which interface the tasks' ports are on: the configured one, the one with the bind address, the default route's. */
static void choose_interface(const struct fingerprint *f, const struct ifaddrs *all, char out[IFNAMSIZ])
{
	char text[INET6_ADDRSTRLEN];
	int prefix;

	snprintf(out, IFNAMSIZ, "lo");
	if (!str_empty(f->config->network_interface)) {
		snprintf(out, IFNAMSIZ, "%s", f->config->network_interface);
		return;
	}
	for (const struct ifaddrs *i = all; i && f->config->bind_ip; i = i->ifa_next) {
		if (address_text(i, text, &prefix) && str_eq(text, f->config->bind_ip)) {
			snprintf(out, IFNAMSIZ, "%s", i->ifa_name);
			return;
		}
	}
	default_interface(f, out);
}

static void add_address(struct fingerprint *f, struct node_network *nn, const char *device, const char *text,
    int64_t speed)
{
	struct arena *a = f->arena;
	struct node_resources *r = f->node->node_resources;
	struct network *n = MODEL_NEW(a, network);
	struct node_network_address *addr = MODEL_NEW(a, node_network_address);
	bool v6 = strchr(text, ':') != NULL;

	MODEL_SET(network, n, mode, "host");
	MODEL_SET(network, n, device, arena_strdup(a, device));
	MODEL_SET(network, n, cidr, arena_printf(a, "%s/%d", text, v6 ? 128 : 32));
	MODEL_SET(network, n, ip, arena_strdup(a, text));
	MODEL_SET(network, n, mbits, speed);
	objs_push(a, &r->networks, n);
	MODEL_SET(node_network_address, addr, family, v6 ? "ipv6" : "ipv4");
	MODEL_SET(node_network_address, addr, alias, "default");
	MODEL_SET(node_network_address, addr, address, n->ip);
	MODEL_SET(node_network_address, addr, reserved_ports, f->config->reserved_ports ? f->config->reserved_ports : "");
	MODEL_SET(node_network_address, addr, gateway, "");
	objs_push(a, &nn->addresses, addr);
	if (!strmap_get(&f->node->attributes, "unique.network.ip-address"))
		fingerprint_set(f, "unique.network.ip-address", "%s", text);
}

/* The bind address first: the first one is where ports without a host network go. */
static void add_addresses(struct fingerprint *f, const struct ifaddrs *all, struct node_network *nn, const char *device,
    int64_t speed)
{
	for (int round = 0; round < 3; round++) {
		for (const struct ifaddrs *i = all; i; i = i->ifa_next) {
			char text[INET6_ADDRSTRLEN];
			int prefix;

			if (!str_eq(i->ifa_name, device) || !address_text(i, text, &prefix))
				continue;
			bool is_bind = str_eq(text, f->config->bind_ip);
			int turn = is_bind ? 0 : i->ifa_addr->sa_family == AF_INET ? 1 : 2;

			if (turn == round)
				add_address(f, nn, device, text, speed);
		}
	}
}

void fingerprint_network(struct fingerprint *f)
{
	struct arena *a = f->arena;
	struct buf text cleanup_buf = BUF_INIT;
	struct node_network *nn = MODEL_NEW(a, node_network);
	struct ifaddrs *all = NULL;
	char device[IFNAMSIZ];
	int64_t speed = SPEED_UNKNOWN;

	if (getifaddrs(&all) < 0)
		return;
	choose_interface(f, all, device);
	cleanup_free char *speed_path = xasprintf("/sys/class/net/%s/speed", device);
	cleanup_free char *mac_path = xasprintf("/sys/class/net/%s/address", device);

	if (!fingerprint_read(f, speed_path, &text) && strtoll(text.data, NULL, 10) > 0)
		speed = strtoll(text.data, NULL, 10);
	MODEL_SET(node_network, nn, mode, "host");
	MODEL_SET(node_network, nn, device, arena_strdup(a, device));
	MODEL_SET(node_network, nn, speed, speed);
	MODEL_SET(node_network, nn, mac_address, "");
	if (!str_eq(device, "lo") && !fingerprint_read(f, mac_path, &text))
		MODEL_SET(node_network, nn, mac_address, arena_strndup(a, text.data, strcspn(text.data, "\n")));
	add_addresses(f, all, nn, device, speed);
	freeifaddrs(all);
	nn->has |= MODEL_BIT(node_network, addresses);
	objs_push(a, &f->node->node_resources->node_networks, nn);
	f->node->node_resources->has |= MODEL_BIT(node_resources, networks) | MODEL_BIT(node_resources, node_networks);
}
