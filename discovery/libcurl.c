#include "discovery/libcurl.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>

static struct libcurl curl;

static const struct {
	const char *name;
	void **slot;
} symbols[] = {
    {"curl_global_init", (void **)&curl.global_init},
    {"curl_easy_init", (void **)&curl.easy_init},
    {"curl_easy_cleanup", (void **)&curl.easy_cleanup},
    {"curl_easy_reset", (void **)&curl.easy_reset},
    {"curl_easy_setopt", (void **)&curl.easy_setopt},
    {"curl_easy_getinfo", (void **)&curl.easy_getinfo},
    {"curl_easy_perform", (void **)&curl.easy_perform},
    {"curl_easy_pause", (void **)&curl.easy_pause},
    {"curl_easy_strerror", (void **)&curl.easy_strerror},
    {"curl_version_info", (void **)&curl.version_info},
    {"curl_multi_init", (void **)&curl.multi_init},
    {"curl_multi_cleanup", (void **)&curl.multi_cleanup},
    {"curl_multi_setopt", (void **)&curl.multi_setopt},
    {"curl_multi_add_handle", (void **)&curl.multi_add_handle},
    {"curl_multi_remove_handle", (void **)&curl.multi_remove_handle},
    {"curl_multi_assign", (void **)&curl.multi_assign},
    {"curl_multi_socket_action", (void **)&curl.multi_socket_action},
    {"curl_multi_info_read", (void **)&curl.multi_info_read},
    {"curl_slist_append", (void **)&curl.slist_append},
    {"curl_slist_free_all", (void **)&curl.slist_free_all},
};

static const struct libcurl *load(struct err *e)
{
	static bool loaded;

	if (loaded)
		return &curl;
	void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);

	if (!library) {
		err_set(e, -ENOENT, "HTTP needs libcurl, and it cannot be loaded (%s); install the package libcurl4 or libcurl",
		    dlerror());
		return NULL;
	}
	for (size_t i = 0; i < ARRAY_LEN(symbols); i++) {
		*symbols[i].slot = dlsym(library, symbols[i].name);
		if (!*symbols[i].slot) {
			err_set(e, -ENOSYS, "libcurl is too old: it lacks %s", symbols[i].name);
			dlclose(library);
			return NULL;
		}
	}
	if (curl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		err_set(e, -EIO, "libcurl cannot be initialised");
		dlclose(library);
		return NULL;
	}
	loaded = true;
	return &curl;
}

const struct libcurl *libcurl_load(struct err *e)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

	pthread_mutex_lock(&lock);
	const struct libcurl *c = load(e);

	pthread_mutex_unlock(&lock);
	return c;
}
