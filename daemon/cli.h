/*
 * cli: how a command speaks to an agent: address, token, namespace and TLS from flags and environment, requests that
 * encode and decode by the field tables, errors in the words of the command line. One blocking request at a time.
 */
#ifndef DAEMON_CLI_H
#define DAEMON_CLI_H

#include "base/model.h"
#include "daemon/cmd.h"
#include "discovery/fetch.h"

struct cli {
	const struct cmd_args *args;
	struct arena *arena; /* of answers: lives as long as the command */
	const char *address, *unix_socket, *region, *ns, *token;
	struct fetch_tls tls;
	bool warned; /* that an answer may be out of date */
	bool color; /* standard output is a terminal, or colours were forced */
	/* of the last answer */
	int status;
	uint64_t index;        /* X-Nomad-Index */
	const char *next_token; /* X-Nomad-NextToken, "" when absent */
};

/* Fills c from flags, DROVER_* and NOMAD_* variables. Values are checked: an error is printed and returned. */
int cli_open(struct cli *c, struct cmd_args *a);
/* DROVER_<name>, else NOMAD_<name>, else NULL; an empty variable counts as not set. */
const char *cli_env(const char *name);

/*
 * Requests. path is a format whose %s are NOT escaped: use cli_escape(). region and namespace are added to the query.
 * The error is `Get "http://127.0.0.1:4646/v1/jobs": dial tcp 127.0.0.1:4646: connect: connection refused` or
 * `Unexpected response code: 404 (job not found)`; -ENOENT for 404, -EREMOTEIO for other refusals.
 */
int cli_get(struct cli *c, const struct type *t, void *obj, struct err *e, const char *path, ...) PRINTF(5, 6);
/* A list of t. */
int cli_get_list(struct cli *c, const struct type *t, struct objs *out, struct err *e, const char *path, ...)
    PRINTF(5, 6);
/* Any JSON, decoded without a table. */
int cli_get_value(struct cli *c, struct value **out, struct err *e, const char *path, ...) PRINTF(4, 5);
/* The text of the answer; of the arena. */
int cli_get_text(struct cli *c, const char **out, size_t *n, struct err *e, const char *path, ...) PRINTF(5, 6);
/* method: "PUT", "DELETE". in may be NULL (no body); out may be NULL (the answer is not read). out_type NULL: any JSON, out
 * is a struct value **. */
int cli_send(struct cli *c, const char *method, const struct type *in_type, const void *in, const struct type *out_type,
    void *out, struct err *e, const char *path, ...) PRINTF(8, 9);
/* The same with a body that is JSON text. */
int cli_send_text(struct cli *c, const char *method, const char *body, const struct type *out_type, void *out,
    struct err *e, const char *path, ...) PRINTF(7, 8);
/* A request as the caller words it; any status is an answer. Everything that comes is of the arena. */
struct cli_raw {
	const char *method, *url, *body; /* url: cli_url(); body: NULL = none */
	const struct strs *headers;      /* "Name: value", besides the token's */
	int status;
	const char *answer_head, *answer;
	size_t answer_len;
};
int cli_raw(struct cli *c, struct cli_raw *r, struct err *e);
const char *cli_url(struct cli *c, const char *path); /* path: escaped, with query */

/*
 * Answers that go on, several at once: fn gets each piece. Returns when all have ended, when one was refused or broke off,
 * or when fn gave something negative (e is then fn's to fill). A stream with beats, on which an agent sends something at
 * least each second, is given up when nothing comes for half a minute.
 */
struct cli_stream {
	const char *path; /* escaped, with query */
	int (*fn)(void *arg, const void *p, size_t n);
	void *arg;
	bool beats;
};
int cli_streams(struct cli *c, struct cli_stream *s, size_t n, struct err *e);

/* "?name=value&...": of the flags that were given, each under its name in the API; "" when none was. In the arena. */
struct query_flag {
	const char *flag, *name;
};
const char *cli_query(struct cli *c, const struct query_flag *flags); /* ended by flag NULL */

/* For a path segment or a query value; in the arena. */
const char *cli_escape(struct cli *c, const char *s);

/* Asks on the terminal; only an exact "y" is a yes. 0: go on. Negative: not, after printing `canceled`, with *code as the exit
 * code. */
int cli_confirm(const char *question, const char *canceled, int *code);
/* Prints "<what>: <sentence>" on stderr and returns the exit code 1. */
int cli_fail(const char *what, const struct err *e);
/* Ids as people type them: an id or the beginning of one, an odd number of digits is cut to even; nothing stands for all.
 * One digit is too little: prints so and returns NULL. */
const char *cli_id_prefix(struct cli *c, const char *text);

/* -json and -t of a value. False: neither was given. *code is the exit code. */
bool cli_format_value(struct cli *c, const struct value *v, int *code);
/* The same of a list, or a map, of objects. */
bool cli_format_list(struct cli *c, const struct type *of, const struct value *list, int *code);
/* The same of an object, printed by its table. */
bool cli_format(struct cli *c, const struct type *t, const void *obj, int *code);
bool cli_wants_format(const struct cli *c);
/* The object as a tree, as it prints. */
struct value *cli_value(struct cli *c, const struct type *t, const void *obj);

#endif
