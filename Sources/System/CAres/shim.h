#ifndef MUSTER_CARES_H
#define MUSTER_CARES_H
#include <ares.h>
#endif
