#include "agent/client_state.h"

#include <errno.h>
#include <fcntl.h>

#include "base/codec.h"
#include "base/file.h"

#define STATE_MAGIC   "DRVS"
#define STATE_FORMAT  1
#define STATE_MAX     (16 << 20)
#define STATE_TASKS   4096 /* more tasks in one group than any job may have */

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

/* ---- framing ---- */

static int save(const char *dir, const char *name, const struct buf *body, struct err *e)
{
	struct buf b cleanup_buf = BUF_INIT;
	uint32_t crc = crc32c(0, body->data, body->len);
	uint8_t head[9] = { STATE_MAGIC[0], STATE_MAGIC[1], STATE_MAGIC[2], STATE_MAGIC[3], STATE_FORMAT,
		(uint8_t)crc, (uint8_t)(crc >> 8), (uint8_t)(crc >> 16), (uint8_t)(crc >> 24) };
	cleanup_free char *path = path_join(dir, name);

	buf_put(&b, head, sizeof(head));
	buf_put(&b, body->data, body->len);
	/* The first version needs no rename: torn, it fails its checksum, which is as good as none. */
	cleanup_close int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return file_write_atomic(path, b.data, b.len, 0600, false, e);
	int r = file_write_all(fd, b.data, b.len);

	if (r < 0) {
		unlink(path);
		return err_set(e, r, "cannot write %s: %s", path, strerror(-r));
	}
	return 0;
}

static int load(const char *dir, const char *name, struct buf *text, struct wire *w, struct err *e)
{
	cleanup_free char *path = path_join(dir, name);
	int r = file_read(path, STATE_MAX, text, e);

	if (r)
		return r;
	const uint8_t *p = (const uint8_t *)text->data;

	if (text->len < 9 || memcmp(p, STATE_MAGIC, 4))
		return err_set(e, -EBADMSG, "%s is empty or not a record of a client", path);
	if (p[4] != STATE_FORMAT)
		return err_set(e, -EBADMSG, "%s has format %u; this version reads format %d", path, p[4], STATE_FORMAT);
	uint32_t crc = (uint32_t)p[5] | (uint32_t)p[6] << 8 | (uint32_t)p[7] << 16 | (uint32_t)p[8] << 24;

	if (crc != crc32c(0, p + 9, text->len - 9))
		return err_set(e, -EBADMSG, "%s is damaged: its checksum does not match", path);
	*w = wire_reader(p + 9, text->len - 9);
	return 0;
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
	return save(dir, "alloc", &b, e);
}

int client_state_load_alloc(const char *dir, struct arena *arena, struct allocation **out, struct err *e)
{
	struct buf text cleanup_buf = BUF_INIT;
	struct wire w;
	int r = load(dir, "alloc", &text, &w, e);

	if (r)
		return r;
	struct allocation *a = MODEL_NEW(arena, allocation);
	struct job *job = MODEL_NEW(arena, job);

	if (take_object(&w, &type_allocation, a, arena) || take_object(&w, &type_job, job, arena) || !wire_end(&w))
		return err_set(e, -EBADMSG, "%s/alloc cannot be decoded", dir);
	MODEL_SET(allocation, a, job, job);
	*out = a;
	return 0;
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
		wire_put_i64(&b, t->restarts.window_start);
		wire_put_i64(&b, t->restarts.count);
		wire_put_u64(&b, t->restart_asked);
		put_object(&b, &type_task_state, t->state);
	}
	return save(dir, "state", &b, e);
}

int client_state_load(const char *dir, struct arena *arena, struct alloc_record *out, struct err *e)
{
	struct buf text cleanup_buf = BUF_INIT;
	struct wire w;
	int r = load(dir, "state", &text, &w, e);

	if (r)
		return r;
	struct alloc_record rec = { .stopping = wire_u64(&w) != 0 };

	rec.health = (int)wire_i64(&w);
	rec.health_at = wire_i64(&w);
	uint64_t n = wire_u64(&w);

	if (n > STATE_TASKS)
		return err_set(e, -EBADMSG, "%s/state claims %llu tasks", dir, (unsigned long long)n);
	rec.tasks = arena_alloc(arena, (n + 1) * sizeof(*rec.tasks));
	for (; rec.n < n && !w.bad; rec.n++) {
		struct task_record *t = &rec.tasks[rec.n];

		t->name = wire_str(&w, arena);
		t->phase = wire_u64(&w);
		t->restarts.window_start = wire_i64(&w);
		t->restarts.count = wire_i64(&w);
		t->restart_asked = wire_u64(&w) != 0;
		t->state = MODEL_NEW(arena, task_state);
		if (take_object(&w, &type_task_state, t->state, arena))
			w.bad = true;
	}
	if (!wire_end(&w))
		return err_set(e, -EBADMSG, "%s/state cannot be decoded", dir);
	*out = rec;
	return 0;
}
