#ifndef MUSTER_CCURL_H
#define MUSTER_CCURL_H
#include <curl/curl.h>
#endif
