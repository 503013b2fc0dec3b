// libcurl's calls that take "anything" as their last argument, once for each type that we pass, and
// its macros with casts. Swift imports neither.
#ifndef MUSTER_CCURL_H
#define MUSTER_CCURL_H
#include <curl/curl.h>

static const unsigned long muster_curl_auth_none = CURLAUTH_NONE;
static const unsigned long muster_curl_auth_basic = CURLAUTH_BASIC;
static const unsigned long muster_curl_auth_digest = CURLAUTH_DIGEST;
static const long muster_curl_http_1_1 = CURL_HTTP_VERSION_1_1;
static const long muster_curl_http_2_tls = CURL_HTTP_VERSION_2TLS;
static const long muster_curl_http_2_plain = CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE;
static const long muster_curl_tls_1_2 = CURL_SSLVERSION_TLSv1_2;
static const curl_socket_t muster_curl_no_socket = CURL_SOCKET_BAD;
static const curl_socket_t muster_curl_timeout = CURL_SOCKET_TIMEOUT;
static const int muster_curl_already_connected = CURL_SOCKOPT_ALREADY_CONNECTED;
static const CURLversion muster_curl_version_now = CURLVERSION_NOW;
static const size_t muster_curl_error_size = CURL_ERROR_SIZE;

static inline CURLcode muster_curl_set_number(CURL *easy, CURLoption option, long value) {
    return curl_easy_setopt(easy, option, value);
}

static inline CURLcode muster_curl_set_text(CURL *easy, CURLoption option, const char *value) {
    return curl_easy_setopt(easy, option, value);
}

static inline CURLcode muster_curl_set_pointer(CURL *easy, CURLoption option, const void *value) {
    return curl_easy_setopt(easy, option, value);
}

static inline CURLcode muster_curl_set_list(CURL *easy, CURLoption option,
                                            struct curl_slist *value) {
    return curl_easy_setopt(easy, option, value);
}

/// For CURLOPT_HEADERFUNCTION and CURLOPT_WRITEFUNCTION.
static inline CURLcode muster_curl_set_taker(CURL *easy, CURLoption option,
                                             curl_write_callback function) {
    return curl_easy_setopt(easy, option, function);
}

static inline CURLcode muster_curl_set_opener(CURL *easy, curl_opensocket_callback function) {
    return curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, function);
}

static inline CURLcode muster_curl_set_closer(CURL *easy, curl_closesocket_callback function) {
    return curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, function);
}

static inline CURLcode muster_curl_set_tuner(CURL *easy, curl_sockopt_callback function) {
    return curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, function);
}

static inline CURLcode muster_curl_set_tls(CURL *easy, curl_ssl_ctx_callback function) {
    return curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, function);
}

static inline CURLMcode muster_curl_set_watcher(CURLM *multi, curl_socket_callback function,
                                                void *data) {
    curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, data);
    return curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, function);
}

static inline CURLMcode muster_curl_set_timer(CURLM *multi, curl_multi_timer_callback function,
                                              void *data) {
    curl_multi_setopt(multi, CURLMOPT_TIMERDATA, data);
    return curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, function);
}

static inline CURLMcode muster_curl_set_multi(CURLM *multi, CURLMoption option, long value) {
    return curl_multi_setopt(multi, option, value);
}

/// Zero where libcurl does not know.
static inline long muster_curl_number(CURL *easy, CURLINFO info) {
    long value = 0;
    curl_easy_getinfo(easy, info, &value);
    return value;
}

/// Microseconds of one of the CURLINFO_*_TIME_T.
static inline int64_t muster_curl_time(CURL *easy, CURLINFO info) {
    curl_off_t value = 0;
    curl_easy_getinfo(easy, info, &value);
    return value;
}

/// What CURLOPT_PRIVATE was set to.
static inline void *muster_curl_private(CURL *easy) {
    char *value = NULL;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &value);
    return value;
}

/// The `SSL` of the connection in use, or NULL.
static inline void *muster_curl_ssl(CURL *easy) {
    struct curl_tlssessioninfo *session = NULL;
    if (curl_easy_getinfo(easy, CURLINFO_TLS_SSL_PTR, &session) != CURLE_OK || !session) {
        return NULL;
    }
    return session->backend == CURLSSLBACKEND_OPENSSL ? session->internals : NULL;
}

/// How the transfer that `message` is about went.
static inline CURLcode muster_curl_result(const CURLMsg *message) { return message->data.result; }

#endif
