#ifndef MUSTER_COPENSSL_H
#define MUSTER_COPENSSL_H
#include <openssl/ssl.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#endif
