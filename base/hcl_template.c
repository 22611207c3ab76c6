/*
 * Templates: quoted strings and heredocs with ${ } and %{ }. A template is first read as a flat list of pieces (text,
 * interpolations, directives), on which trim markers and the indentation of <<- work, and then made into a tree.
 * Text comes in pieces of at most one line: trimming and indentation are defined on these.
 */
#include "base/hcl_parse.h"

#include <ctype.h>

enum piece_kind { PIECE_TEXT, PIECE_INTERP, PIECE_IF, PIECE_ELSE, PIECE_ENDIF, PIECE_FOR, PIECE_ENDFOR };
struct piece {
	enum piece_kind kind;
	struct buf text;
	struct hcl_range range;
	struct hcl_expr *expr;
	const char *name, *name2;
};
struct pieces {
	struct piece *v;
	uint32_t n, cap;
	bool trim_next; /* the marker before this was ~} */
};

enum { MAX_PIECES = 1 << 20 }; /* of one template */

static struct piece *add_piece(struct pieces *l, enum piece_kind kind, uint32_t from)
{
	if (l->n == l->cap)
		l->v = xrealloc(l->v, l->cap = l->cap ? 2 * l->cap : 8, sizeof(*l->v));
	struct piece *piece = &l->v[l->n++];

	memset(piece, 0, sizeof(*piece));
	piece->kind = kind;
	piece->range.from = from;
	return piece;
}

static void free_pieces(struct pieces *l)
{
	for (uint32_t i = 0; i < l->n; i++)
		buf_free(&l->v[i].text);
	free(l->v);
}

/* Lines that no marker touches any more are kept as one piece: all but the last of a run of text. */
static void merge_lines(struct pieces *l)
{
	struct piece *last = l->n ? &l->v[l->n - 1] : NULL, *before = l->n > 1 ? last - 1 : NULL;

	if (!before || last->kind != PIECE_TEXT || before->kind != PIECE_TEXT)
		return;
	buf_put(&before->text, last->text.data ? last->text.data : "", last->text.len);
	before->range.to = last->range.to;
	buf_free(&last->text);
	l->n--;
}

static size_t leading_space(const char *s, size_t n)
{
	size_t i = 0;

	while (i < n && isspace((unsigned char)s[i]))
		i++;
	return i;
}

static void trim_right(struct pieces *l)
{
	if (!l->n || l->v[l->n - 1].kind != PIECE_TEXT)
		return;
	struct buf *b = &l->v[l->n - 1].text;

	while (b->len && isspace((unsigned char)b->data[b->len - 1]))
		b->len--;
	if (b->data)
		b->data[b->len] = 0;
}

/* Takes the text. Of none there is no piece: a marker at the start of a line trims the line before. */
static void add_text(struct pieces *l, struct buf *text, struct hcl_range at)
{
	if (!text->len)
		return;
	struct piece *piece = add_piece(l, PIECE_TEXT, at.from);

	piece->text = *text;
	piece->range.to = at.to;
	if (l->trim_next)
		buf_drop_front(&piece->text, leading_space(piece->text.data, piece->text.len));
	l->trim_next = false;
}

/* ---- ${ } and %{ } ---- */

static bool word(struct parser *p, const char *w)
{
	size_t n = strlen(w);

	return peek(p, w) && !(p->at + n < p->len && (isalnum((unsigned char)p->src[p->at + n]) || p->src[p->at + n] == '_')) &&
	    eat(p, w);
}

static bool parse_directive(struct parser *p, struct pieces *l, uint32_t from)
{
	struct piece *piece;

	if (word(p, "if")) {
		piece = add_piece(l, PIECE_IF, from);
		struct hcl_expr *e = parse_expr(p);

		l->v[l->n - 1].expr = e;
		return e != NULL;
	}
	if (word(p, "else")) {
		add_piece(l, PIECE_ELSE, from);
	} else if (word(p, "endif")) {
		add_piece(l, PIECE_ENDIF, from);
	} else if (word(p, "endfor")) {
		add_piece(l, PIECE_ENDFOR, from);
	} else if (word(p, "for")) {
		piece = add_piece(l, PIECE_FOR, from);
		skip_blanks(p);
		piece->name2 = parse_name(p);
		if (piece->name2 && eat(p, ",")) {
			piece->name = piece->name2;
			skip_blanks(p);
			piece->name2 = parse_name(p);
		}
		if (!piece->name2 || !word(p, "in")) {
			parse_fail(p, here(p), "Invalid 'for' directive", "expected %{ for name in collection } or %{ for key, value in collection }");
			return false;
		}
		struct hcl_expr *e = parse_expr(p);

		l->v[l->n - 1].expr = e;
		return e != NULL;
	} else {
		parse_fail(p, here(p), "Invalid template directive", "expected if, else, endif, for or endfor after %{");
		return false;
	}
	return true;
}

/* At "${" or "%{". */
static bool parse_marker(struct parser *p, struct pieces *l)
{
	uint32_t from = p->at;
	bool interp = p->src[p->at] == '$', ok;
	int newlines = p->newlines;

	if (!deeper(p))
		return false;
	p->at += 2;
	if (p->at < p->len && p->src[p->at] == '~') {
		p->at++;
		trim_right(l);
	}
	l->trim_next = false;
	p->newlines = 1;
	if (interp) {
		struct hcl_expr *e = parse_expr(p);
		struct piece *piece = add_piece(l, PIECE_INTERP, from);

		piece->expr = e;
		ok = e != NULL;
	} else {
		ok = parse_directive(p, l, from);
	}
	if (ok && eat(p, "~"))
		l->trim_next = true;
	if (ok && !(p->at < p->len && p->src[p->at] == '}') && !peek(p, "}")) {
		parse_fail(p, here(p), interp ? "Extra characters after interpolation expression" : "Extra characters in template directive",
		    "expected } here");
		ok = false;
	}
	if (ok)
		p->at++;
	p->newlines = newlines;
	p->depth--;
	if (ok)
		l->v[l->n - 1].range.to = p->at;
	return ok;
}

/* ---- text ---- */

static void put_rune(struct buf *b, uint32_t c)
{
	if (c < 0x80) {
		buf_putc(b, (char)c);
	} else if (c < 0x800) {
		buf_putc(b, (char)(0xc0 | c >> 6));
		buf_putc(b, (char)(0x80 | (c & 0x3f)));
	} else if (c < 0x10000) {
		buf_putc(b, (char)(0xe0 | c >> 12));
		buf_putc(b, (char)(0x80 | (c >> 6 & 0x3f)));
		buf_putc(b, (char)(0x80 | (c & 0x3f)));
	} else {
		buf_putc(b, (char)(0xf0 | c >> 18));
		buf_putc(b, (char)(0x80 | (c >> 12 & 0x3f)));
		buf_putc(b, (char)(0x80 | (c >> 6 & 0x3f)));
		buf_putc(b, (char)(0x80 | (c & 0x3f)));
	}
}

/* After a backslash. */
static bool parse_escape(struct parser *p, struct buf *out)
{
	static const char letters[] = "nrt\"\\", meanings[] = "\n\r\t\"\\";
	uint32_t from = p->at - 1, rune = 0;
	char c = p->at < p->len ? p->src[p->at++] : 0;
	const char *letter = c ? strchr(letters, c) : NULL;

	if (letter) {
		buf_putc(out, meanings[letter - letters]);
		return true;
	}
	int digits = c == 'u' ? 4 : c == 'U' ? 8 : 0;

	for (int i = 0; i < digits; i++, p->at++) {
		if (p->at >= p->len || !isxdigit((unsigned char)p->src[p->at])) {
			digits = 0;
			break;
		}
		char d = (char)(p->src[p->at] | 32);

		rune = rune << 4 | (uint32_t)(d <= '9' ? d - '0' : d - 'a' + 10);
	}
	if (!digits || !rune || rune > 0x10ffff || (rune >= 0xd800 && rune < 0xe000)) {
		parse_fail(p, (struct hcl_range){from, p->at}, "Invalid escape sequence",
		    "The backslash introduces \\n, \\r, \\t, \\\", \\\\, \\uNNNN or \\UNNNNNNNN; a backslash itself is written \\\\.");
		return false;
	}
	put_rune(out, rune);
	return true;
}

/* "$${" stands for "${": copies what is literal about $ and % and says whether a marker begins here. */
static bool at_marker(struct parser *p, struct buf *out, uint32_t end)
{
	char c = p->src[p->at];
	bool brace1 = p->at + 1 < end && p->src[p->at + 1] == '{';
	bool twice = p->at + 2 < end && p->src[p->at + 1] == c && p->src[p->at + 2] == '{';

	if (brace1)
		return true;
	if (twice) {
		buf_putc(out, c);
		buf_putc(out, '{');
		p->at += 3;
	} else {
		buf_putc(out, c);
		p->at++;
	}
	return false;
}

/* Reads a quoted string's pieces up to its closing quote. */
static bool read_quoted(struct parser *p, struct pieces *l, uint32_t from)
{
	while (p->at < p->len && p->src[p->at] != '"') {
		struct buf text = BUF_INIT;
		uint32_t start = p->at;
		bool marker = false;

		while (p->at < p->len && p->src[p->at] != '"' && !marker) {
			char c = p->src[p->at];

			if (c == '\n' || c == '\r') {
				parse_fail(p, (struct hcl_range){from, p->at}, "Invalid multi-line string",
				    "text in quotes ends on its line: write \\n for a line break, or <<EOF for text of several lines");
			} else if (c == '\\') {
				p->at++;
				parse_escape(p, &text);
			} else if (c == '$' || c == '%') {
				marker = at_marker(p, &text, p->len);
			} else {
				buf_putc(&text, c);
				p->at++;
			}
			if (p->failed) {
				buf_free(&text);
				return false;
			}
		}
		add_text(l, &text, (struct hcl_range){start, p->at});
		if (marker && !parse_marker(p, l))
			return false;
	}
	if (p->at >= p->len) {
		parse_fail(p, (struct hcl_range){from, from + 1}, "Unterminated template string", "the text has no closing quote");
		return false;
	}
	p->at++;
	return true;
}

/* ---- the tree ---- */

struct builder {
	struct parser *p;
	struct pieces *l;
	uint32_t i;
};

static struct hcl_expr *build_until(struct builder *b, enum piece_kind stop1, enum piece_kind stop2, uint32_t from);

static struct hcl_expr *build_if(struct builder *b)
{
	struct parser *p = b->p;
	struct piece *piece = &b->l->v[b->i++];
	struct hcl_expr *e = expr_new(p, HCL_PART_IF, piece->range.from), *yes, *no = NULL;

	expr_add(p, e, piece->expr);
	yes = build_until(b, PIECE_ELSE, PIECE_ENDIF, piece->range.from);
	if (yes && b->l->v[b->i].kind == PIECE_ELSE) {
		b->i++;
		no = build_until(b, PIECE_ENDIF, PIECE_ENDIF, piece->range.from);
		if (!no)
			return NULL;
	}
	if (!yes)
		return NULL;
	b->i++;
	expr_add(p, e, yes);
	expr_add(p, e, no);
	return e;
}

static struct hcl_expr *build_for(struct builder *b)
{
	struct parser *p = b->p;
	struct piece *piece = &b->l->v[b->i++];
	struct hcl_expr *e = expr_new(p, HCL_PART_FOR, piece->range.from), *body;

	e->name = piece->name;
	e->name2 = piece->name2;
	expr_add(p, e, piece->expr);
	body = build_until(b, PIECE_ENDFOR, PIECE_ENDFOR, piece->range.from);
	if (!body)
		return NULL;
	b->i++;
	expr_add(p, e, body);
	return e;
}

/* Builds up to a piece of one of the kinds and stands at it; PIECE_TEXT = up to the end of the template. */
static struct hcl_expr *build_until(struct builder *b, enum piece_kind stop1, enum piece_kind stop2, uint32_t from)
{
	struct parser *p = b->p;
	struct hcl_expr *e = expr_new(p, HCL_EXPR_TEMPLATE, from), *part;

	if (!deeper(p))
		return NULL;
	for (; b->i < b->l->n;) {
		struct piece *piece = &b->l->v[b->i];

		if (stop1 != PIECE_TEXT && (piece->kind == stop1 || piece->kind == stop2)) {
			p->depth--;
			return e;
		}
		switch (piece->kind) {
		case PIECE_TEXT:
			b->i++;
			if (!piece->text.len)
				continue;
			part = expr_new(p, HCL_PART_TEXT, piece->range.from);
			part->value = hcl_string(p->h, piece->text.data, piece->text.len);
			part->range = piece->range;
			break;
		case PIECE_INTERP:
			b->i++;
			part = expr_new(p, HCL_PART_INTERP, piece->range.from);
			expr_add(p, part, piece->expr);
			part->range = piece->range;
			break;
		case PIECE_IF:
			part = build_if(b);
			break;
		case PIECE_FOR:
			part = build_for(b);
			break;
		default:
			return parse_fail(p, piece->range, "Unexpected template directive",
			    "this %{ else }, %{ endif } or %{ endfor } has no %{ if } or %{ for } before it");
		}
		if (!part)
			return NULL;
		expr_add(p, e, part);
	}
	p->depth--;
	if (stop1 == PIECE_TEXT)
		return e;
	return parse_fail(p, (struct hcl_range){from, from + 2}, "Unterminated template directive",
	    "this %{ if } or %{ for } has no %{ endif } or %{ endfor }");
}

static struct hcl_expr *build(struct parser *p, struct pieces *l, uint32_t from)
{
	struct builder b = {p, l, 0};
	struct hcl_expr *e = build_until(&b, PIECE_TEXT, PIECE_TEXT, from);

	if (!e)
		return NULL;
	e->range = (struct hcl_range){from, p->at};
	if (e->n > 1 || (e->n == 1 && e->a[0]->kind != HCL_PART_TEXT))
		return e;
	struct hcl_value *v = e->n ? e->a[0]->value : hcl_string(p->h, "", 0);

	e->kind = HCL_EXPR_VALUE; /* nothing to evaluate */
	e->n = 0;
	e->value = v;
	return e;
}

struct hcl_expr *parse_quoted(struct parser *p)
{
	struct pieces l = {0};
	uint32_t from = p->at++;
	struct hcl_expr *e = read_quoted(p, &l, from) ? build(p, &l, from) : NULL;

	free_pieces(&l);
	return e;
}

/* ---- heredocs ---- */

/* <<- : the smallest indentation of the lines is taken off all of them. A line counts when its first piece is
 * text; lines that hold nothing but blanks do not. */
static void unindent(struct pieces *l)
{
	size_t least = SIZE_MAX;
	bool line_start = true;
	cleanup_free bool *adjust = xcalloc(l->n + 1, sizeof(bool));

	for (uint32_t i = 0; i < l->n; i++) {
		struct piece *piece = &l->v[i];
		const struct buf *b = &piece->text;
		bool ends_line = piece->kind == PIECE_TEXT && b->len && b->data[b->len - 1] == '\n';

		if (line_start) {
			size_t spaces = 0;

			line_start = false;
			if (piece->kind == PIECE_TEXT) {
				spaces = leading_space(b->data ? b->data : "", b->len);
				if (spaces == b->len && ends_line)
					spaces = SIZE_MAX;
				else
					adjust[i] = true;
			}
			least = MIN(least, spaces);
		}
		if (ends_line)
			line_start = true;
	}
	for (uint32_t i = 0; i < l->n; i++)
		if (adjust[i])
			buf_drop_front(&l->v[i].text, MIN(least, l->v[i].text.len));
}

/* The end of the line at `at`: the position after its line feed. */
static uint32_t next_line(const struct parser *p, uint32_t at)
{
	while (at < p->len && p->src[at] != '\n')
		at++;
	return MIN(at + 1, p->len);
}

static bool is_end_marker(const struct parser *p, uint32_t at, const char *marker)
{
	size_t n = strlen(marker);

	while (at < p->len && (p->src[at] == ' ' || p->src[at] == '\t'))
		at++;
	if (p->len - at < n || memcmp(p->src + at, marker, n))
		return false;
	at += (uint32_t)n;
	while (at < p->len && (p->src[at] == '\r' || p->src[at] == ' ' || p->src[at] == '\t'))
		at++;
	return at >= p->len || p->src[at] == '\n';
}

static bool read_heredoc(struct parser *p, struct pieces *l, const char *marker, uint32_t from, bool flush)
{
	bool line_start = true;

	for (;;) {
		if (p->at >= p->len) {
			parse_fail(p, (struct hcl_range){from, from + 2}, "Unterminated template string",
			    "the heredoc has no end: a line that holds its marker alone");
			return false;
		}
		if (line_start && is_end_marker(p, p->at, marker))
			return true;
		struct buf text = BUF_INIT;
		uint32_t start = p->at;
		bool marked = false;

		line_start = false;
		while (p->at < p->len && !marked && !line_start) {
			char c = p->src[p->at];

			if (c == '$' || c == '%') {
				marked = at_marker(p, &text, p->len);
				continue;
			}
			buf_putc(&text, c);
			p->at++;
			line_start = c == '\n';
		}
		if (!flush && text.len)
			merge_lines(l);
		add_text(l, &text, (struct hcl_range){start, p->at});
		if (l->n > MAX_PIECES)
			parse_fail(p, (struct hcl_range){from, from + 2}, "Template too long", "a template may have about a million lines and markers");
		if (p->failed || (marked && !parse_marker(p, l)))
			return false;
	}
}

struct hcl_expr *parse_heredoc(struct parser *p)
{
	struct pieces l = {0};
	uint32_t from = p->at;

	p->at += 2;
	bool flush = p->at < p->len && p->src[p->at] == '-';

	p->at += flush;
	const char *marker = parse_name(p);

	while (p->at < p->len && p->src[p->at] == '\r')
		p->at++;
	if (!marker || p->at >= p->len || p->src[p->at] != '\n')
		return parse_fail(p, (struct hcl_range){from, p->at}, "Invalid heredoc", "expected << or <<- and a marker word alone, then the text from the next line on");
	p->at++;
	struct hcl_expr *e = NULL;

	if (read_heredoc(p, &l, marker, from, flush)) {
		/* Stand before the line feed of the end marker: it ends the attribute. */
		uint32_t end = next_line(p, p->at);

		p->at = end > p->at && p->src[end - 1] == '\n' ? end - 1 : end;
		if (flush)
			unindent(&l);
		e = build(p, &l, from);
	}
	free_pieces(&l);
	return e;
}
