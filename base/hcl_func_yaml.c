/*
 * yamlencode and yamldecode, by libyaml. Written: block style, strings in double quotes or, when they have line ends, as
 * literal blocks; keys in order. Read: plain scalars mean what the language's own decoder (go-cty-yaml) makes of them,
 * YAML 1.1's yes and no included.
 */
#include <ctype.h>
#include <stdio.h>
#include <yaml.h>

#include "base/clock.h"
#include "base/hcl.h"

/* ---- writing ---- */

static bool emit_scalar(yaml_emitter_t *e, const char *s, size_t n, yaml_scalar_style_t style)
{
	yaml_event_t event;

	return yaml_scalar_event_initialize(&event, NULL, NULL, (const yaml_char_t *)s, (int)n, 1, 1, style) && yaml_emitter_emit(e, &event);
}

static bool emit_string(yaml_emitter_t *e, const char *s, size_t n)
{
	return emit_scalar(e, s, n, memchr(s, '\n', n) ? YAML_LITERAL_SCALAR_STYLE : YAML_DOUBLE_QUOTED_SCALAR_STYLE);
}

static bool emit(struct hcl *h, yaml_emitter_t *e, const struct hcl_value *v)
{
	yaml_event_t event;
	const char *word;

	if (hcl_over_budget(h, h->at))
		return false;
	switch (v->kind) {
	case HCL_STRING:
		return emit_string(e, v->s, v->n);
	case HCL_NULL:
	case HCL_BOOL:
	case HCL_NUMBER:
		word = v->kind == HCL_NULL ? "null" : v->kind == HCL_BOOL ? (v->b ? "true" : "false") : hcl_number_text(h, v);
		return emit_scalar(e, word, strlen(word), YAML_PLAIN_SCALAR_STYLE);
	default:
		break;
	}
	if (!(v->keys ? yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE)
		      : yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_SEQUENCE_STYLE)) ||
	    !yaml_emitter_emit(e, &event))
		return false;
	for (uint32_t i = 0; i < v->n; i++)
		if ((v->keys && !emit_string(e, v->keys[i], strlen(v->keys[i]))) || !emit(h, e, v->items[i]))
			return false;
	return (v->keys ? yaml_mapping_end_event_initialize(&event) : yaml_sequence_end_event_initialize(&event)) &&
	       yaml_emitter_emit(e, &event);
}

static int write_to_buf(void *arg, unsigned char *data, size_t n)
{
	struct buf *b = arg;

	buf_put(b, data, n);
	return !b->full;
}

static struct hcl_value *fn_yamlencode(struct hcl_call *c)
{
	cleanup_buf struct buf b = BUF_INIT;
	yaml_emitter_t e;
	yaml_event_t event;

	buf_init(&b, HCL_MAX_STRING);
	if (!yaml_emitter_initialize(&e))
		die("out of memory");
	yaml_emitter_set_output(&e, write_to_buf, &b);
	yaml_emitter_set_unicode(&e, 1);
	bool ok = yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING) && yaml_emitter_emit(&e, &event) &&
	    yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1) && yaml_emitter_emit(&e, &event) &&
	    emit(c->h, &e, c->args[0]) && yaml_document_end_event_initialize(&event, 1) && yaml_emitter_emit(&e, &event) &&
	    yaml_stream_end_event_initialize(&event) && yaml_emitter_emit(&e, &event) && yaml_emitter_flush(&e);
	const char *problem = e.problem ? e.problem : "too much of it";

	if (!ok && !c->h->exhausted)
		hcl_call_error(c, "the value cannot be written as YAML: %s", b.full ? "the result is longer than 16 MiB" : problem);
	yaml_emitter_delete(&e);
	/* A bare word or number alone is closed by "...", text never is. */
	if (b.len > 5 && memcmp(b.data + b.len - 5, "\n...\n", 5) == 0)
		b.len -= 4;
	if (c->args[0]->kind < HCL_STRING)
		buf_puts(&b, "...\n");
	return ok ? hcl_string(c->h, b.len ? b.data : "", b.len) : NULL;
}

/* ---- reading ---- */

/* [-+] digits, with _ between them: 12, 0x1f, 0o17; or a decimal fraction. NULL when the text is no number. */
static struct hcl_value *read_number(struct hcl *h, const char *s, size_t n)
{
	char plain[256], *end;
	size_t k = 0;

	if (!n || n >= sizeof(plain) || *s == '_')
		return NULL;
	for (size_t i = 0; i < n; i++)
		if (s[i] != '_')
			plain[k++] = s[i];
	plain[k] = 0;
	const char *digits = plain + (*plain == '-' || *plain == '+');
	bool based = digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'o');

	if (!based)
		return isdigit((unsigned char)*digits) || *digits == '.' ? hcl_number_parse(h, plain, k) : NULL;
	long long i = strtoll(digits + 2, &end, digits[1] == 'x' ? 16 : 8);

	return *end || end == digits + 2 ? NULL : hcl_int(h, *plain == '-' ? -i : i);
}

/* 2021-06-01, 2021-06-01 10:30:00 and 2021-06-01T10:30:00Z come out as RFC 3339 has them. */
static struct hcl_value *read_date(struct hcl *h, const char *s)
{
	int year, month, day, hour = 0, minute = 0, second = 0, used = 0, at = 0;
	char mark = 0, text[TIME_STR];
	int64_t when;

	if (strspn(s, "0123456789") != 4 || sscanf(s, "%4d-%2d-%2d%n", &year, &month, &day, &used) != 3)
		return NULL;
	if (s[used]) {
		if (sscanf(s + used, "%c%2d:%2d:%2d%n", &mark, &hour, &minute, &second, &at) != 4 || !strchr("Tt ", mark))
			return NULL;
		used += at;
		if (s[used] == '.')
			used += 1 + (int)strspn(s + used + 1, "0123456789");
	}
	const char *zone = s + used;

	if (mark == 0 || mark == ' ' ? *zone : !*zone) /* a T asks for a zone, anything else has none */
		return NULL;
	char *normal = arena_printf(h->arena, "%04d-%02d-%02dT%02d:%02d:%02d%s", year, month, day, hour, minute, second, *zone ? zone : "Z");

	if (time_parse_rfc3339(normal, &when) < 0)
		return NULL;
	time_format_rfc3339(when, text);
	return hcl_string(h, normal, strlen(normal));
}

static struct hcl_value *read_plain(struct hcl *h, const char *s, size_t n)
{
	static const struct {
		const char *text;
		int meaning; /* 0 false, 1 true, 2 null */
	} words[] = {{"true", 1}, {"True", 1}, {"TRUE", 1}, {"y", 1}, {"Y", 1}, {"yes", 1}, {"Yes", 1}, {"YES", 1}, {"on", 1}, {"On", 1},
	    {"ON", 1}, {"false", 0}, {"False", 0}, {"FALSE", 0}, {"n", 0}, {"N", 0}, {"no", 0}, {"No", 0}, {"NO", 0}, {"off", 0},
	    {"Off", 0}, {"OFF", 0}, {"null", 2}, {"Null", 2}, {"NULL", 2}, {"~", 2}, {"", 2}};
	struct hcl_value *v;

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (str_eq(words[i].text, s))
			return words[i].meaning == 2 ? hcl_null(h) : hcl_bool(h, words[i].meaning);
	v = read_date(h, s);
	v = v ? v : read_number(h, s, n);
	return v ? v : hcl_string(h, s, n);
}

static struct hcl_value *scalar(struct hcl *h, const yaml_node_t *n)
{
	const char *s = (const char *)n->data.scalar.value;

	if (n->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && str_eq((const char *)n->tag, YAML_STR_TAG))
		return read_plain(h, s, n->data.scalar.length);
	return hcl_string(h, s, n->data.scalar.length);
}

struct members { /* of a mapping, while it is read */
	const char **keys;
	struct hcl_value **items;
	uint32_t n, cap;
};

static void add_member(struct members *m, const char *key, struct hcl_value *v)
{
	if (m->n == m->cap) {
		m->cap = m->cap ? 2 * m->cap : 8;
		m->keys = xrealloc(m->keys, m->cap, sizeof(*m->keys));
		m->items = xrealloc(m->items, m->cap, sizeof(*m->items));
	}
	m->keys[m->n] = key;
	m->items[m->n++] = v;
}

static struct hcl_value *read_node(struct hcl_call *c, yaml_document_t *doc, int index, int depth);

static bool read_pair(struct hcl_call *c, yaml_document_t *doc, const yaml_node_pair_t *pair, struct members *m, int depth)
{
	yaml_node_t *key = yaml_document_get_node(doc, pair->key);
	struct hcl_value *v, *name;

	if (!key || key->type != YAML_SCALAR_NODE) {
		hcl_call_error(c, "only strings are allowed as mapping keys");
		return false;
	}
	v = read_node(c, doc, pair->value, depth);
	if (!v)
		return false;
	if (key->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && str_eq((const char *)key->data.scalar.value, "<<")) {
		if (v->kind != HCL_OBJECT) { /* a merge key: the members of the value are ours too */
			hcl_call_error(c, "cannot merge a %s into a mapping", hcl_kind_name(v));
			return false;
		}
		for (uint32_t i = 0; i < v->n; i++)
			add_member(m, v->keys[i], v->items[i]);
		return true;
	}
	name = hcl_to(c->h, HCL_STRING, scalar(c->h, key));
	if (!name || name->kind != HCL_STRING) {
		hcl_call_error(c, "mapping key cannot be null");
		return false;
	}
	add_member(m, name->s, v);
	return true;
}

static struct hcl_value *read_mapping(struct hcl_call *c, yaml_document_t *doc, const yaml_node_t *n, int depth)
{
	struct members m = {0};
	struct hcl_value *v = NULL;
	const yaml_node_pair_t *p = n->data.mapping.pairs.start;

	while (p < n->data.mapping.pairs.top && read_pair(c, doc, p, &m, depth))
		p++;
	if (p == n->data.mapping.pairs.top)
		v = hcl_object(c->h, m.keys, m.items, m.n);
	free(m.keys);
	free(m.items);
	return v;
}

static struct hcl_value *read_sequence(struct hcl_call *c, yaml_document_t *doc, const yaml_node_t *n, int depth)
{
	uint32_t count = (uint32_t)(n->data.sequence.items.top - n->data.sequence.items.start);
	struct hcl_value **items = arena_alloc(c->h->arena, (count + 1) * sizeof(*items));

	for (uint32_t i = 0; i < count; i++)
		if (!(items[i] = read_node(c, doc, n->data.sequence.items.start[i], depth)))
			return NULL;
	return hcl_tuple(c->h, items, count);
}

static struct hcl_value *read_node(struct hcl_call *c, yaml_document_t *doc, int index, int depth)
{
	yaml_node_t *n = yaml_document_get_node(doc, index);

	/* Aliases can make a small text mean a very large tree: the budget ends that. */
	if (!n || hcl_over_budget(c->h, c->at))
		return NULL;
	if (depth > HCL_MAX_DEPTH)
		return hcl_call_error(c, "the YAML is nested more than %d levels deep", HCL_MAX_DEPTH);
	switch (n->type) {
	case YAML_SCALAR_NODE:
		return scalar(c->h, n);
	case YAML_MAPPING_NODE:
		return read_mapping(c, doc, n, depth + 1);
	default:
		return read_sequence(c, doc, n, depth + 1);
	}
}

static struct hcl_value *fn_yamldecode(struct hcl_call *c)
{
	yaml_parser_t parser;
	yaml_document_t doc;
	struct hcl_value *v = NULL;

	if (!yaml_parser_initialize(&parser))
		die("out of memory");
	yaml_parser_set_input_string(&parser, (const unsigned char *)c->args[0]->s, c->args[0]->n);
	if (!yaml_parser_load(&parser, &doc)) {
		hcl_call_error(c, "on line %zu, column %zu: %s", parser.problem_mark.line + 1, parser.problem_mark.column + 1,
		    parser.problem ? parser.problem : "unknown problem");
	} else {
		if (yaml_document_get_root_node(&doc))
			v = read_node(c, &doc, 1, 0);
		else
			hcl_call_error(c, "there is nothing in the text");
		yaml_document_delete(&doc);
		if (v && yaml_parser_load(&parser, &doc)) {
			if (yaml_document_get_root_node(&doc))
				v = hcl_call_error(c, "only a single document is allowed");
			yaml_document_delete(&doc);
		}
	}
	yaml_parser_delete(&parser);
	return v;
}

const struct hcl_func hcl_funcs_yaml[] = {
    {"yamldecode", "s", fn_yamldecode},
    {"yamlencode", "A", fn_yamlencode},
    {NULL, NULL, NULL},
};
