#ifndef MUSTER_CHIREDIS_H
#define MUSTER_CHIREDIS_H
#include <hiredis/hiredis.h>

// A reply says how many elements follow, and hiredis makes room for all of them at once: of a reply that
// lies, gigabytes. More than this is no answer to anything we ask.
enum { muster_redis_elements_max = 65536 };

#if HIREDIS_MAJOR >= 1
typedef size_t muster_redis_count;
#else
typedef int muster_redis_count;
#endif

// Variables within functions: those of a header's own are not there for a Swift program.
static inline redisReplyObjectFunctions *muster_redis_functions(void) {
    static redisReplyObjectFunctions original = {0};
    return &original;
}

static inline redisReplyObjectFunctions *muster_redis_bounded(void) {
    static redisReplyObjectFunctions bounded = {0};
    return &bounded;
}

static inline void *muster_redis_array(const redisReadTask *task, muster_redis_count count) {
    if (count > muster_redis_elements_max) return NULL;
    return muster_redis_functions()->createArray(task, count);
}

// By one thread at a time: the first call keeps hiredis's own functions.
static inline void muster_redis_bound(redisReader *reader) {
    if (!muster_redis_functions()->createArray) {
        *muster_redis_functions() = *reader->fn;
        *muster_redis_bounded() = *reader->fn;
        muster_redis_bounded()->createArray = muster_redis_array;
    }
    reader->fn = muster_redis_bounded();
}
#endif
