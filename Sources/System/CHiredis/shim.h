#ifndef MUSTER_CHIREDIS_H
#define MUSTER_CHIREDIS_H
#include <hiredis/hiredis.h>
#include <hiredis/async.h>
#include <string.h>

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

// A connection that listens hears messages of three parts and more, of which the first two are texts, and nothing else;
// hiredis asserts that, or believes it, and what asserts ends the process. It goes on listening: nobody says
// that it should not.
static inline redisReplyObjectFunctions *muster_redis_listening(void) {
    static redisReplyObjectFunctions listening = {0};
    return &listening;
}

static inline int muster_redis_is_kind(const redisReply *kind, const char *text) {
    return kind && kind->type == REDIS_REPLY_STRING && kind->str && !strcmp(kind->str, text);
}

// Whether a part, other than a text, may stand there.
static inline int muster_redis_may_be(const redisReadTask *task, int is_number) {
    if (!task->parent) return 0;
    if (task->parent->parent) return 1;
    if (task->idx < 2) return 0;
    redisReply *whole = task->parent->obj;
    int is_message = muster_redis_is_kind(whole->element[0], "message")
        || muster_redis_is_kind(whole->element[0], "pmessage");
    return is_message || is_number;
}

static inline void *muster_redis_heard_array(const redisReadTask *task, muster_redis_count count) {
    if (task->parent ? !muster_redis_may_be(task, 0) : count < 3) return NULL;
    return muster_redis_array(task, count);
}

static inline void *muster_redis_heard_text(const redisReadTask *task, char *text, size_t length) {
    if (!task->parent) {
        // A refusal, which ends the connection.
        if (task->type != REDIS_REPLY_ERROR) return NULL;
    } else if (!task->parent->parent) {
        int ends = task->idx == 0
            && ((length == 11 && !memcmp(text, "unsubscribe", length))
                || (length == 12 && !memcmp(text, "punsubscribe", length)));
        if (ends || task->type != REDIS_REPLY_STRING || (task->idx > 1 && !muster_redis_may_be(task, 0)))
            return NULL;
    }
    return muster_redis_functions()->createString(task, text, length);
}

static inline void *muster_redis_heard_number(const redisReadTask *task, long long number) {
    return muster_redis_may_be(task, 1) ? muster_redis_functions()->createInteger(task, number) : NULL;
}

static inline void *muster_redis_heard_nothing(const redisReadTask *task) {
    return muster_redis_may_be(task, 0) ? muster_redis_functions()->createNil(task) : NULL;
}

// By one thread at a time, after `muster_redis_bound`, and with no reply under way.
static inline void muster_redis_listen(redisReader *reader) {
    redisReplyObjectFunctions *listening = muster_redis_listening();
    if (!listening->createArray) {
        *listening = *muster_redis_bounded();
        listening->createArray = muster_redis_heard_array;
        listening->createString = muster_redis_heard_text;
        listening->createInteger = muster_redis_heard_number;
        listening->createNil = muster_redis_heard_nothing;
    }
    reader->fn = listening;
}

// Nothing was asked that is not answered, and nobody listens: what comes now belongs to nobody.
static inline int muster_redis_is_quiet(const redisAsyncContext *context) {
    return !context->replies.head && !(context->c.flags & REDIS_SUBSCRIBED);
}
#endif
