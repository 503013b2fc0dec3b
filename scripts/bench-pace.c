/* How long does an answer take at a rate that somebody else sets?
 *
 *   bench-pace PORT RATE SECONDS CONNECTIONS
 *
 * Requests fall due at even distances, whether or not earlier ones have been answered, and each is timed from the
 * moment it was due: a proxy that stands still for a moment has all of them against it. One thread, small GETs on
 * connections that stay open. Prints: requests, and microseconds at the median, the 99th and 99.9th percentile, and most. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 4096, LONGEST = 10000000 };

static const char request[] = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";

static long long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void fail(const char *what) {
    fprintf(stderr, "bench-pace: %s: %s\n", what, strerror(errno));
    exit(1);
}

static unsigned counts[LONGEST + 1];
static long long due_at[MOST];
static int idle[MOST], idle_count;

static void ask(int socket, long long due) {
    due_at[socket] = due;
    if (send(socket, request, sizeof request - 1, MSG_NOSIGNAL) != sizeof request - 1) fail("send");
}

static long percentile(long total, double share) {
    long left = (long)(total * share), at = 0;
    while (at < LONGEST && (left -= counts[at]) >= 0) at++;
    return at;
}

int main(int count, char **words) {
    if (count != 5) return 2;
    struct sockaddr_in proxy = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    proxy.sin_port = htons(atoi(words[1]));
    double rate = atof(words[2]), seconds = atof(words[3]);
    int connections = atoi(words[4]), one = 1, epoll = epoll_create1(0);
    struct epoll_event events[256];
    for (int made = 0; made < connections; made++) {
        int client = socket(AF_INET, SOCK_STREAM, 0);
        if (client < 0 || client >= MOST) fail("socket");
        if (connect(client, (struct sockaddr *)&proxy, sizeof proxy) < 0) fail("connect");
        setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct epoll_event event = { .events = EPOLLIN, .data.fd = client };
        epoll_ctl(epoll, EPOLL_CTL_ADD, client, &event);
        idle[idle_count++] = client;
    }
    prctl(PR_SET_TIMERSLACK, 1);
    long long begun = now(), gap = (long long)(1e9 / rate), end = begun + (long long)(seconds * 1e9);
    long asked = 0, answered = 0, total = (long)(seconds * rate);
    while (answered < total) {
        long long time = now();
        if (time > end + 10000000000LL) break;
        /* Those that fall due while nobody is free are asked late, and timed from when they were due. */
        while (asked < total && idle_count > 0 && begun + asked * gap <= time) {
            ask(idle[--idle_count], begun + asked * gap);
            asked++;
        }
        /* Waiting in a loop would take the processor from those who are measured, where there are few. */
        long long next = idle_count > 0 && asked < total ? begun + asked * gap : time + 1000000000LL;
        long long span = next > time ? next - time : 0;
        struct timespec rest = { span / 1000000000LL, span % 1000000000LL };
        int ready = epoll_pwait2(epoll, events, 256, &rest, NULL);
        for (int index = 0; index < ready; index++) {
            char bytes[16384];
            int client = events[index].data.fd;
            ssize_t got = recv(client, bytes, sizeof bytes, MSG_DONTWAIT);
            if (got < 0 && errno == EAGAIN) continue;
            if (got <= 12 || memcmp(bytes + 9, "200", 3)) { errno = EPROTO; fail("answer"); }
            long long took = (now() - due_at[client]) / 1000;
            counts[took < LONGEST ? took : LONGEST]++;
            answered++;
            idle[idle_count++] = client;
        }
    }
    long most = LONGEST;
    while (most > 0 && !counts[most]) most--;
    printf("%ld of %ld  p50 %ld  p99 %ld  p99.9 %ld  max %ld\n", answered, total, percentile(answered, 0.5),
        percentile(answered, 0.99), percentile(answered, 0.999), most);
    return answered == total ? 0 : 1;
}
