// Linux calls that Glibc's Swift module lacks or imports badly: variadic ones, unions, macros.
#ifndef MUSTER_CLINUX_H
#define MUSTER_CLINUX_H

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

// Behind _GNU_SOURCE, which must not be defined here: Glibc's own module is built without it, and
// the two would disagree on the layout of structures.
extern int accept4(int, struct sockaddr *, socklen_t *, int);
extern int pipe2(int[2], int);
extern int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *, int);

static const uint32_t muster_epoll_in = EPOLLIN;
static const uint32_t muster_epoll_out = EPOLLOUT;
static const uint32_t muster_epoll_rdhup = EPOLLRDHUP;
static const uint32_t muster_epoll_hup = EPOLLHUP;
static const uint32_t muster_epoll_err = EPOLLERR;
static const uint32_t muster_epoll_et = 1u << 31;

static inline int muster_epoll_control(int epoll, int operation, int descriptor, uint32_t events,
                                       uint64_t token) {
    struct epoll_event event = {.events = events, .data = {.u64 = token}};
    return epoll_ctl(epoll, operation, descriptor, &event);
}

static inline uint64_t muster_epoll_token(const struct epoll_event *event) {
    return event->data.u64;
}

// recv and send without what Glibc does around them so that a thread can be cancelled while it waits: nothing here
// waits or is cancelled, and it is two locked instructions a call.
static inline ssize_t muster_receive(int descriptor, void *bytes, size_t count) {
    return syscall(SYS_recvfrom, descriptor, bytes, count, 0, 0, 0);
}

static inline ssize_t muster_send(int descriptor, const void *bytes, size_t count) {
    return syscall(SYS_sendto, descriptor, bytes, count, MSG_NOSIGNAL, 0, 0);
}

static inline ssize_t muster_send_more(int descriptor, const void *bytes, size_t count) {
    return syscall(SYS_sendto, descriptor, bytes, count, MSG_NOSIGNAL | MSG_MORE, 0, 0);
}

static inline int muster_set_nonblocking(int descriptor) {
    int flags = fcntl(descriptor, F_GETFL, 0);
    return flags < 0 ? flags : fcntl(descriptor, F_SETFL, flags | O_NONBLOCK);
}

static inline int muster_set_cloexec(int descriptor) {
    int flags = fcntl(descriptor, F_GETFD, 0);
    return flags < 0 ? flags : fcntl(descriptor, F_SETFD, flags | FD_CLOEXEC);
}

// A child must die with its parent, or a killed demo leaves servers behind.
static inline int muster_die_with_parent(void) { return prctl(PR_SET_PDEATHSIG, SIGKILL); }

// A descriptor that becomes readable when the process ends. Glibc has no wrapper before 2.36.
static inline int muster_pidfd_open(pid_t pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }

// A process that crashes is held by whoever prints its backtrace, for seconds or minutes, and with it every
// port it listened on. So the first thing a crash does is to close every descriptor but the standard ones;
// then the handler that was there before (the Swift runtime's) does what it does.
static inline struct sigaction *muster_crash_before(int number) {
    static struct sigaction before[65];
    return &before[number];
}

static inline void muster_crashed(int number, siginfo_t *info, void *context) {
    (void)context;
    syscall(SYS_close_range, 3u, ~0u, 0u);
    sigaction(number, muster_crash_before(number), 0);
    // A fault comes again as soon as this returns; what somebody sent does not.
    if (!info || info->si_code <= 0) raise(number);
}

static inline void muster_free_ports_on_crash(void) {
    static const int signals[] = {SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV};
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = muster_crashed;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaction(signals[i], &action, muster_crash_before(signals[i]));
}

// A hang-up may come before anybody can read the configuration again: it is noted. Each file that is
// compiled has a note of its own, so one file calls both.
static inline volatile sig_atomic_t *muster_hangup_note(void) {
    static volatile sig_atomic_t note;
    return &note;
}

static inline void muster_hung_up(int number) {
    (void)number;
    *muster_hangup_note() = 1;
}

static inline void muster_note_hangups(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = muster_hung_up;
    action.sa_flags = SA_RESTART;
    sigaction(SIGHUP, &action, 0);
}

static inline int muster_take_hangup(void) {
    int noted = *muster_hangup_note();
    *muster_hangup_note() = 0;
    return noted;
}

// A stop may come before anybody listens for it in order. While nothing is open it ends the process, and
// what it asked for is done: status 0. From then on it is noted, as a hang-up is.
static inline volatile sig_atomic_t *muster_stop_note(void) {
    static volatile sig_atomic_t note;
    return &note;
}

static inline void muster_left(int number) {
    (void)number;
    _exit(0);
}

static inline void muster_stopped(int number) { *muster_stop_note() = number; }

static inline void muster_at_stops(void (*handler)(int)) {
    static const int signals[] = {SIGTERM, SIGINT, SIGQUIT};
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART;
    for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaction(signals[i], &action, 0);
}

static inline void muster_leave_at_stops(void) { muster_at_stops(muster_left); }

static inline void muster_note_stops(void) { muster_at_stops(muster_stopped); }

// The number of the signal that was noted; 0: none.
static inline int muster_noted_stop(void) { return *muster_stop_note(); }

// A child that has ended and that nobody has waited for; it stays so. 0: none.
static inline pid_t muster_ended_child(void) {
    siginfo_t info;
    info.si_pid = 0;
    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) ? 0 : info.si_pid;
}

// Whether orphans become children of this process.
static inline int muster_adopts_orphans(void) {
    int is_subreaper = 0;
    return getpid() == 1 || (!prctl(PR_GET_CHILD_SUBREAPER, &is_subreaper) && is_subreaper);
}

extern int memfd_create(const char *, unsigned int);

// A file that has no name, lies in memory, and is closed when another program is run.
static inline int muster_memory_file(void) { return memfd_create("muster", 1u /* MFD_CLOEXEC */); }

static inline int muster_name_thread(const char *name) { return prctl(PR_SET_NAME, name); }

#endif
