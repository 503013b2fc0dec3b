/* What does it cost to carry bytes from clients to a server and back, understanding nothing of them?
 *
 *   bench-floor PORT SERVER-PORT
 *
 * One thread, edge-triggered epoll, one connection to the server for each client, and no call that could be left out:
 * a read and a write each way for a request that fits a buffer. Whoever understands HTTP cannot cost less, unless it
 * saves connections or calls. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SIZE = 32768, MOST = 65536, EVENTS = 256 };

/* One direction: what was read from `from` and not yet written to `to`. */
struct way {
    int from, to, start, end, can_read, can_write, is_over;
    char bytes[SIZE];
};

/* A client and its connection to the server. `ways[0]` leads to the server. */
struct pair {
    struct way ways[2];
};

static int epoll;
static struct pair *pairs[MOST];
static struct sockaddr_in server;

static void end(struct pair *pair) {
    int client = pair->ways[0].from, peer = pair->ways[0].to;
    pairs[client] = pairs[peer] = NULL;
    close(client);
    close(peer);
    free(pair);
}

/* Moves what can be moved. Returns 0 when the pair is over. */
static int carry(struct way *way) {
    for (;;) {
        while (way->start < way->end) {
            if (!way->can_write) return 1;
            ssize_t sent = send(way->to, way->bytes + way->start, way->end - way->start, MSG_NOSIGNAL);
            if (sent < 0) {
                if (errno != EAGAIN) return 0;
                way->can_write = 0;
                return 1;
            }
            way->start += sent;
        }
        if (way->is_over) return 0;
        if (!way->can_read) return 1;
        ssize_t got = recv(way->from, way->bytes, SIZE, 0);
        if (got < 0) {
            if (errno != EAGAIN) return 0;
            way->can_read = 0;
            return 1;
        }
        if (got == 0) way->is_over = 1;
        /* A short read has emptied the socket. */
        if (got < SIZE) way->can_read = 0;
        way->start = 0;
        way->end = got;
    }
}

static void watch(int descriptor) {
    struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.fd = descriptor };
    int one = 1;
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event);
}

static void take(int listener) {
    int client;
    while ((client = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        int peer = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        struct pair *pair = client < MOST && peer >= 0 && peer < MOST ? malloc(sizeof *pair) : NULL;
        if (!pair || (connect(peer, (struct sockaddr *)&server, sizeof server) < 0 && errno != EINPROGRESS)) {
            free(pair);
            close(client);
            if (peer >= 0) close(peer);
            continue;
        }
        for (int way = 0; way < 2; way++) {
            pair->ways[way].start = pair->ways[way].end = 0;
            pair->ways[way].can_read = pair->ways[way].can_write = pair->ways[way].is_over = 0;
        }
        pair->ways[0].from = pair->ways[1].to = client;
        pair->ways[0].to = pair->ways[1].from = peer;
        pairs[client] = pairs[peer] = pair;
        watch(client);
        watch(peer);
    }
}

int main(int count, char **words) {
    struct sockaddr_in here = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct epoll_event events[EVENTS];
    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (count != 3) return 2;
    server = here;
    here.sin_port = htons(atoi(words[1]));
    server.sin_port = htons(atoi(words[2]));
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&here, sizeof here) < 0 || listen(listener, 4096) < 0) {
        perror("bench-floor");
        return 1;
    }
    epoll = epoll_create1(0);
    watch(listener);
    for (;;) {
        int ready = epoll_wait(epoll, events, EVENTS, -1);
        for (int index = 0; index < ready; index++) {
            int descriptor = events[index].data.fd;
            unsigned what = events[index].events;
            if (descriptor == listener) {
                take(listener);
                continue;
            }
            struct pair *pair = pairs[descriptor];
            if (!pair) continue;
            int side = pair->ways[0].from == descriptor ? 0 : 1;
            if (what & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) pair->ways[side].can_read = 1;
            if (what & (EPOLLOUT | EPOLLHUP | EPOLLERR)) pair->ways[1 - side].can_write = 1;
            if (!carry(&pair->ways[side]) || !carry(&pair->ways[1 - side])) end(pair);
        }
    }
}
