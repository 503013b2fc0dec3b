#ifndef MUSTER_CHIREDIS_H
#define MUSTER_CHIREDIS_H
#include <hiredis/hiredis.h>
#include <hiredis/async.h>
#endif
