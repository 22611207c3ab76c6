#include "agent/client_state.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/codec.h"
#include "base/file.h"

#define STATE_NAME    "record"
#define STATE_MAGIC   "DRVS"
#define STATE_FORMAT  2
#define STATE_MAX     (64 << 20)
#define STATE_GROWN   (64 << 10) /* a record that has grown by this and its first size is written anew */
#define STATE_TASKS   4096       /* more tasks in one group than any job may have */

enum { HEAD = 9, FRAME = 9 };
enum { KIND_ALLOC = 'A', KIND_STATE = 'S' };

int client_state_identity(const char *dir, char id[UUID_STR], char secret[UUID_STR], struct err *e)
{
	cleanup_free char *path = path_join(dir, "node");
	struct buf text cleanup_buf = BUF_INIT;
	struct uuid parsed_id, parsed_secret;
	int r = file_read(path, 4096, &text, NULL);

	if (r == 0) {
		char words[2][40] = { "", "" };

		if (sscanf(text.data ? text.data : "", "%39s %39s", words[0], words[1]) == 2 &&
		    !uuid_parse(words[0], &parsed_id) && !uuid_parse(words[1], &parsed_secret)) {
			uuid_format(parsed_id, id);
			uuid_format(parsed_secret, secret);
			return 0;
		}
		return err_set(e, -EBADMSG, "%s does not hold the id and secret of this node; remove it to join as a new node",
		    path);
	}
	if (r != -ENOENT)
		return err_set(e, r, "cannot read %s: %s", path, strerror(-r));
	char new_id[UUID_STR], new_secret[UUID_STR];

	uuid_format(uuid_random(), new_id);
	uuid_format(uuid_random(), new_secret);
	cleanup_free char *line = xasprintf("%s %s\n", new_id, new_secret);

	if ((r = file_write_atomic(path, line, strlen(line), 0600, true, e)))
		return r;
	memcpy(id, new_id, UUID_STR);
	memcpy(secret, new_secret, UUID_STR);
	return 0;
}

/* ---- frames ---- */

static uint32_t get_u32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void put_u32(struct buf *b, uint32_t v)
{
	const uint8_t p[] = {(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24)};

	buf_put(b, p, sizeof(p));
}

static uint32_t frame_crc(char kind, const void *p, size_t n)
{
	return crc32c(crc32c(0, &kind, 1), p, n);
}

/* The file as a whole when it is written for the first time, or anew. */
static void put_file(struct buf *out, const struct buf *frames)
{
	buf_puts(out, STATE_MAGIC);
	buf_putc(out, STATE_FORMAT);
	put_u32(out, (uint32_t)(HEAD + frames->len));
	buf_put(out, frames->data, frames->len);
}

static void put_frame(struct buf *b, char kind, const void *p, size_t n)
{
	put_u32(b, (uint32_t)n);
	put_u32(b, frame_crc(kind, p, n));
	buf_putc(b, kind);
	buf_put(b, p, n);
}

struct frame { /* points into the text of the file */
	const uint8_t *p; /* NULL = none of this kind */
	size_t n;
};

struct frames {
	struct frame alloc, state;
	size_t end; /* of what is whole */
	bool damaged; /* by more than a torn end */
};

static void scan(const struct buf *text, struct frames *out)
{
	const uint8_t *p = (const uint8_t *)text->data;
	struct frames f = {.end = HEAD};

	while (text->len - f.end >= FRAME) {
		const uint8_t *at = p + f.end;
		size_t n = get_u32(at);

		if (n > text->len - f.end - FRAME)
			break;
		if (get_u32(at + 4) != frame_crc((char)at[8], at + FRAME, n)) {
			f.damaged = true;
			break;
		}
		*(at[8] == KIND_ALLOC ? &f.alloc : &f.state) = (struct frame){at + FRAME, n};
		f.end += FRAME + n;
	}
	*out = f;
}

static bool has_head(const struct buf *text)
{
	return text->len >= HEAD && !memcmp(text->data, STATE_MAGIC, 4) && text->data[4] == STATE_FORMAT;
}

/* The newest frames and this one, in place of a file that is full of old ones. */
static int renew(const char *path, char kind, const struct buf *body, struct err *e)
{
	struct buf old cleanup_buf = BUF_INIT, b cleanup_buf = BUF_INIT, file cleanup_buf = BUF_INIT;
	struct frames f;
	int r = file_read(path, STATE_MAX, &old, e);

	if (r)
		return r;
	if (has_head(&old)) {
		scan(&old, &f);
		if (kind != KIND_ALLOC && f.alloc.p)
			put_frame(&b, KIND_ALLOC, f.alloc.p, f.alloc.n);
		if (kind != KIND_STATE && f.state.p)
			put_frame(&b, KIND_STATE, f.state.p, f.state.n);
	}
	put_frame(&b, kind, body->data, body->len);
	put_file(&file, &b);
	return file_write_atomic(path, file.data, file.len, 0600, false, e);
}

static int append(const char *dir, char kind, const struct buf *body, struct err *e)
{
	cleanup_free char *path = path_join(dir, STATE_NAME);
	cleanup_close int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	struct buf frame cleanup_buf = BUF_INIT, file cleanup_buf = BUF_INIT;
	const struct buf *b = &frame;
	uint8_t head[HEAD];
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(e, -errno, "cannot write %s: %s", path, strerror(errno));
	if (st.st_size > STATE_GROWN && pread(fd, head, HEAD, 0) == HEAD && st.st_size > STATE_GROWN + 2 * (int64_t)get_u32(head + 5))
		return renew(path, kind, body, e);
	put_frame(&frame, kind, body->data, body->len);
	if (st.st_size == 0) {
		put_file(&file, &frame);
		b = &file;
	}
	int r = file_write_all(fd, b->data, b->len);

	if (r == 0)
		return 0;
	/* The disk is full: half a frame would hide what comes after it. */
	if (st.st_size == 0 || ftruncate(fd, st.st_size) < 0)
		unlink(path);
	return err_set(e, r, "cannot write %s: %s", path, strerror(-r));
}

static void put_object(struct buf *b, const struct type *t, const void *obj)
{
	struct buf body cleanup_buf = BUF_INIT;

	codec_put(&body, t, obj);
	wire_put_bytes(b, body.data, body.len);
}

static int take_object(struct wire *w, const struct type *t, void *obj, struct arena *a)
{
	size_t n;
	const void *p = wire_bytes(w, &n);
	struct wire body = wire_reader(p, n);

	return w->bad ? -EBADMSG : codec_take(&body, t, obj, a);
}

/* ---- records ---- */

int client_state_save_alloc(const char *dir, const struct allocation *a, const struct job *job, struct err *e)
{
	struct buf b cleanup_buf = BUF_INIT;
	struct allocation alone = *a;

	alone.job = NULL;
	alone.has &= ~MODEL_BIT(allocation, job);
	put_object(&b, &type_allocation, &alone);
	put_object(&b, &type_job, job);
	return append(dir, KIND_ALLOC, &b, e);
}

static struct allocation *take_alloc(struct frame f, struct arena *arena)
{
	struct wire w = wire_reader(f.p, f.n);
	struct allocation *a = MODEL_NEW(arena, allocation);
	struct job *job = MODEL_NEW(arena, job);

	if (take_object(&w, &type_allocation, a, arena) || take_object(&w, &type_job, job, arena) || !wire_end(&w))
		return NULL;
	MODEL_SET(allocation, a, job, job);
	return a;
}

int client_state_save(const char *dir, const struct alloc_record *r, struct err *e)
{
	struct buf b cleanup_buf = BUF_INIT;

	wire_put_u64(&b, r->stopping);
	wire_put_i64(&b, r->health);
	wire_put_i64(&b, r->health_at);
	wire_put_u64(&b, r->n);
	for (uint32_t i = 0; i < r->n; i++) {
		const struct task_record *t = &r->tasks[i];

		wire_put_str(&b, t->name);
		wire_put_u64(&b, t->phase);
		wire_put_u64(&b, t->starts);
		wire_put_i64(&b, t->restarts.window_start);
		wire_put_i64(&b, t->restarts.count);
		wire_put_i64(&b, t->restart_at);
		wire_put_u64(&b, t->restart_asked);
		put_object(&b, &type_task_state, t->state);
	}
	wire_put_u64(&b, r->in_consul);
	return append(dir, KIND_STATE, &b, e);
}

static struct alloc_record *take_state(struct frame f, struct arena *arena)
{
	struct wire w = wire_reader(f.p, f.n);
	struct alloc_record *rec = arena_alloc(arena, sizeof(*rec));

	rec->stopping = wire_u64(&w) != 0;
	rec->health = (int)wire_i64(&w);
	rec->health_at = wire_i64(&w);
	uint64_t n = wire_u64(&w);

	if (n > STATE_TASKS)
		return NULL;
	rec->tasks = arena_alloc(arena, (n + 1) * sizeof(*rec->tasks));
	for (; rec->n < n && !w.bad; rec->n++) {
		struct task_record *t = &rec->tasks[rec->n];

		t->name = wire_str(&w, arena);
		t->phase = wire_u64(&w);
		t->starts = wire_u64(&w);
		t->restarts.window_start = wire_i64(&w);
		t->restarts.count = wire_i64(&w);
		t->restart_at = wire_i64(&w);
		t->restart_asked = wire_u64(&w);
		t->state = MODEL_NEW(arena, task_state);
		if (take_object(&w, &type_task_state, t->state, arena))
			w.bad = true;
	}
	rec->in_consul = w.p < w.end && wire_u64(&w) != 0; /* older records do not have it */
	return wire_end(&w) ? rec : NULL;
}

void client_state_load(const char *dir, struct arena *arena, struct client_record *out)
{
	cleanup_free char *path = path_join(dir, STATE_NAME);
	struct buf text cleanup_buf = BUF_INIT;
	struct err e cleanup_err = ERR_INIT;
	struct frames f;

	*out = (struct client_record){0};
	if (file_read(path, STATE_MAX, &text, &e) < 0) {
		out->trouble = arena_strdup(arena, err_str(&e));
		return;
	}
	if (!has_head(&text)) {
		out->trouble = arena_printf(arena, "%s is empty, of another version or no record of a client", path);
		return;
	}
	scan(&text, &f);
	if (f.damaged)
		out->trouble = arena_printf(arena, "%s is damaged: a checksum does not match at byte %zu", path, f.end);
	else if (f.end < text.len && truncate(path, (off_t)f.end) < 0)
		out->trouble = arena_printf(arena, "%s: cannot cut off its torn end: %s", path, strerror(errno));
	if (f.alloc.p && !(out->alloc = take_alloc(f.alloc, arena)))
		out->trouble = arena_printf(arena, "%s: the allocation cannot be decoded", path);
	/* What was observed before the damage may be long over. */
	if (f.state.p && !f.damaged && !(out->state = take_state(f.state, arena)))
		out->trouble = arena_printf(arena, "%s: what was observed cannot be decoded", path);
}
