/* hcl_parse: what the parts of the HCL parser share with each other. */
#ifndef BASE_HCL_PARSE_H
#define BASE_HCL_PARSE_H

#include "base/hcl.h"

struct parser {
	struct hcl *h;
	const char *src;
	uint32_t at, len;
	int newlines; /* > 0: inside brackets, where line ends are blanks */
	int depth;
	bool failed;
};

struct hcl_expr *parse_expr(struct parser *p);
/* At the opening quote. */
struct hcl_expr *parse_quoted(struct parser *p);
/* At "<<". */
struct hcl_expr *parse_heredoc(struct parser *p);
bool starts_name(char c);
bool in_name(char c);
void skip_blanks(struct parser *p);
void skip_lines(struct parser *p); /* and line ends */
/* An identifier, or NULL without an error. */
const char *parse_name(struct parser *p);
bool eat(struct parser *p, const char *token); /* after blanks */
bool eat_word(struct parser *p, const char *word); /* not when it goes on */
bool peek(struct parser *p, const char *token);
void *parse_fail(struct parser *p, struct hcl_range at, const char *title, const char *detail); /* returns NULL */
struct hcl_range here(const struct parser *p);
struct hcl_expr *expr_new(struct parser *p, enum hcl_expr_kind kind, uint32_t from);
void expr_add(struct parser *p, struct hcl_expr *e, struct hcl_expr *child);
bool deeper(struct parser *p); /* false and an error past HCL_MAX_DEPTH; the caller undoes depth++ */

#endif
