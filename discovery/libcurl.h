/*
 * libcurl: the few functions of libcurl that drover uses, loaded when the first request is made. Linking it would load
 * some 35 libraries into every agent and command: about 5 MB resident and 15 ms of start-up that a one-machine
 * cluster never needs.
 */
#ifndef DISCOVERY_LIBCURL_H
#define DISCOVERY_LIBCURL_H

#include <curl/curl.h>

#include "base/err.h"

struct libcurl {
	CURLcode (*global_init)(long flags);
	CURL *(*easy_init)(void);
	void (*easy_cleanup)(CURL *);
	void (*easy_reset)(CURL *);
	CURLcode (*easy_setopt)(CURL *, CURLoption, ...);
	CURLcode (*easy_getinfo)(CURL *, CURLINFO, ...);
	CURLcode (*easy_perform)(CURL *);
	CURLcode (*easy_pause)(CURL *, int);
	const char *(*easy_strerror)(CURLcode);
	curl_version_info_data *(*version_info)(CURLversion);
	CURLM *(*multi_init)(void);
	CURLMcode (*multi_cleanup)(CURLM *);
	CURLMcode (*multi_setopt)(CURLM *, CURLMoption, ...);
	CURLMcode (*multi_add_handle)(CURLM *, CURL *);
	CURLMcode (*multi_remove_handle)(CURLM *, CURL *);
	CURLMcode (*multi_assign)(CURLM *, curl_socket_t, void *);
	CURLMcode (*multi_socket_action)(CURLM *, curl_socket_t, int, int *);
	CURLMsg *(*multi_info_read)(CURLM *, int *);
	struct curl_slist *(*slist_append)(struct curl_slist *, const char *);
	void (*slist_free_all)(struct curl_slist *);
};

/* The functions, or NULL with a sentence that names the package to install. From any thread. */
const struct libcurl *libcurl_load(struct err *e);

#endif
