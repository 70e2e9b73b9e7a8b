// SPDX-License-Identifier: GPL-3.0-or-later
// Copyright: agentless.audit_ports contributors
//
// The services of the bench: they accept on every address and say their piece, as cheaply as can be, so that what is
// measured is the one who asks.
//
//     reach_target PORT:HEX|PORT:?HEX|PORT: ...
//
// sends the bytes HEX to whoever connects to PORT; with "?" only when the peer has sent something. Without any bytes the
// kernel answers alone, and the connection is accepted, and closed, only if the peer says something (tcp(7),
// TCP_DEFER_ACCEPT). Writes "ready" when all ports listen, and serves until it is killed.

#define _GNU_SOURCE

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define LISTENERS 64
#define MOST 200000

struct service { int fd, waits, length; unsigned char bytes[4096]; };

static struct service services[LISTENERS];
static short service_of[MOST];  // of a connection, by its descriptor
static int poller, listeners;

static void watch(int fd, unsigned kind) {
    struct epoll_event event = {.events = kind, .data.fd = fd};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event)) exit(3);
}

static void listen_on(const char *text) {
    struct service *service = &services[listeners];
    struct sockaddr_in at = {.sin_family = AF_INET};
    int yes = 1, patience = 60, used = 0;
    unsigned port, byte;
    if (sscanf(text, "%u:%n", &port, &used) != 1 || !used) exit(2);
    at.sin_port = htons(port);
    text += used;
    service->waits = *text == '?';
    text += service->waits;
    for (; service->length < 4096 && sscanf(text, "%2x", &byte) == 1; text += 2)
        service->bytes[service->length++] = byte;
    service->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(service->fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (!service->length) setsockopt(service->fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &patience, sizeof patience);
    if (bind(service->fd, (struct sockaddr *)&at, sizeof at) || listen(service->fd, 65535)) exit(4);
    service_of[service->fd] = ++listeners;
    watch(service->fd, EPOLLIN);
}

static void greet(struct service *service) {
    for (int fd; (fd = accept4(service->fd, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
        if (!service->length || fd >= MOST) { close(fd); continue; }
        if (!service->waits) send(fd, service->bytes, service->length, MSG_NOSIGNAL);
        service_of[fd] = service - services + 1;
        watch(fd, EPOLLIN | EPOLLRDHUP);
    }
}

static void answer(int fd, unsigned kind) {
    struct service *service = &services[service_of[fd] - 1];
    char heard[4096];
    if (kind & (EPOLLERR | EPOLLHUP) || recv(fd, heard, sizeof heard, 0) <= 0) close(fd);
    else if (service->waits) send(fd, service->bytes, service->length, MSG_NOSIGNAL);
}

int main(int count, char **arguments) {
    struct epoll_event events[1024];
    struct rlimit most;
    getrlimit(RLIMIT_NOFILE, &most);
    most.rlim_cur = most.rlim_max;
    setrlimit(RLIMIT_NOFILE, &most);
    poller = epoll_create1(0);
    for (int index = 1; index < count && listeners < LISTENERS; index++) listen_on(arguments[index]);
    puts("ready");
    fflush(stdout);
    for (;;) {
        int ready = epoll_wait(poller, events, 1024, -1);
        for (int turn = 0; turn < ready; turn++) {
            int fd = events[turn].data.fd, index = service_of[fd] - 1;
            if (index < 0) continue;
            if (services[index].fd == fd) greet(&services[index]);
            else answer(fd, events[turn].events);
        }
    }
}
