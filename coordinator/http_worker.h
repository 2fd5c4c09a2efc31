/* SPDX-License-Identifier: Apache-2.0 */
/* http_worker: the process that sends (http.h). */
#ifndef COORDINATOR_HTTP_WORKER_H
#define COORDINATOR_HTTP_WORKER_H

#include "coordinator/http.h"
#include "coordinator/transfer.h"

#include <curl/curl.h>
#include <stddef.h>

#define HTTP_ANSWER_HEAD offsetof(struct http_answer, body)

/* Serves requests until `sock` is closed; `setup`: struct http_setup. */
transfer_fn http_worker_run;

/* Everything that is the same for all requests to this server. */
int http_curl_setup(CURL *c, const struct http_setup *s, struct err *e) CHECKED;
/* Text and kind of an answer that never came, from the library's code. */
void http_curl_explain(const struct http_setup *s, CURLcode code,
    const char *detail, struct http_answer *a);

#endif
