/*
 * settings: what the configuration file says. One table holds names, types, defaults, ranges and help; reader, sample file
 * and manual are made from it.
 */
#ifndef PACKAGING_SCALE_IN_SETTINGS_H
#define PACKAGING_SCALE_IN_SETTINGS_H

#include "base/err.h"
#include "base/log.h"
#include "base/model.h"

struct peer_tls { /* paths of PEM files, NULL when not given */
	const char *ca_file, *cert_file, *key_file, *server_name;
};

struct settings {
	struct arena *arena; /* owns every string here */
	const char *provider, *state_file;
	int64_t interval, heartbeat; /* ns, like all durations */
	enum log_level log_level;
	bool log_json;
	struct {
		const char *address, *token_file;
		struct peer_tls tls;
	} agent;
	struct {
		int64_t deadline; /* 0 = none */
		bool ignore_system_jobs;
	} drain;
	struct {
		const char *group, *hook, *region, *endpoint, *metadata, *rebalance;
		struct strs leave_states;
		int64_t spot_margin;
	} aws;
	struct {
		struct strs state, heartbeat, complete; /* words of a command */
		int64_t timeout;
	} exec;
	struct {
		const char *state, *heartbeat, *complete; /* URLs */
		const char *token_file;
		struct peer_tls tls;
		int64_t timeout;
	} http;
};

struct settings *settings_new(void); /* defaults */
void settings_free(struct settings *s);
/* Reads a file and checks that the provider has what it needs; errors name file and line. */
int settings_read(struct settings *s, const char *path, struct err *e);
void settings_put_sample(struct buf *out);
void settings_put_manual(struct buf *out); /* the options, as part of the help */

#endif
