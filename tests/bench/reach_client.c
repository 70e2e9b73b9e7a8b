// SPDX-License-Identifier: GPL-3.0-or-later
// Copyright: agentless.audit_ports contributors
//
// What the wire allows: TCP connects by epoll in C, one SYN each, one second, a window of so many.
//
//     reach_client WINDOW <TARGETS >ANSWERS
//
// reads lines "address port" and writes, in their order, one letter each: o(pen), c(losed by a reset), r(ejected by
// ICMP), f(iltered), e(rror of our own). The source of a rejection is not read.

#include <arpa/inet.h>
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define TIMEOUT_S 1.0
#define MOST 2000000

struct probe { struct sockaddr_in to; double begun; int fd; };

static struct probe *probes;
static char *answers;
static int poller, in_flight;

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec + at.tv_nsec / 1e9;
}

static char judge(int number, unsigned segments) {
    switch (number) {
    case 0: return 'o';
    case ECONNREFUSED: return segments ? 'c' : 'r';  // an ICMP error gives the same number, and no segment
    case EHOSTUNREACH: case ENETUNREACH: return 'r';
    case ETIMEDOUT: return 'f';
    default: return 'e';
    }
}

static void settle(int index, char answer) {
    answers[index] = answer;
    close(probes[index].fd);
    in_flight--;
}

static void start(int index) {
    struct probe *probe = &probes[index];
    struct linger reset = {1, 0};
    struct epoll_event event = {.events = EPOLLOUT, .data.u32 = index};
    in_flight++;
    probe->begun = now();
    probe->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(probe->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    if (connect(probe->fd, (struct sockaddr *)&probe->to, sizeof probe->to) && errno != EINPROGRESS)
        settle(index, judge(errno, 0));
    else
        epoll_ctl(poller, EPOLL_CTL_ADD, probe->fd, &event);
}

int main(int count, char **arguments) {
    int window = count > 1 ? atoi(arguments[1]) : 4000, total = 0, next = 0, oldest = 0;
    struct epoll_event *events = calloc(window, sizeof *events);
    struct rlimit most;
    char address[64];
    unsigned port;
    probes = calloc(MOST, sizeof *probes);
    answers = calloc(MOST, 1);
    poller = epoll_create1(0);
    getrlimit(RLIMIT_NOFILE, &most);
    most.rlim_cur = most.rlim_max;
    setrlimit(RLIMIT_NOFILE, &most);
    for (; total < MOST && scanf("%63s %u", address, &port) == 2; total++) {
        probes[total].to = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
        inet_pton(AF_INET, address, &probes[total].to.sin_addr);
    }
    while (next < total || in_flight) {
        while (next < total && in_flight < window) start(next++);
        int ready = epoll_wait(poller, events, window, 10);
        for (int turn = 0; turn < ready; turn++) {
            int index = events[turn].data.u32, number = 0;
            struct tcp_info info = {0};
            socklen_t length = sizeof number, info_length = sizeof info;
            getsockopt(probes[index].fd, IPPROTO_TCP, TCP_INFO, &info, &info_length);  // before SO_ERROR resets it
            getsockopt(probes[index].fd, SOL_SOCKET, SO_ERROR, &number, &length);
            settle(index, judge(number, info.tcpi_segs_in));
        }
        for (double late = now() - TIMEOUT_S; oldest < next; oldest++) {  // in the order of their beginning
            if (answers[oldest]) continue;
            if (probes[oldest].begun > late) break;
            settle(oldest, 'f');
        }
    }
    answers[total] = '\n';
    return fwrite(answers, 1, total + 1, stdout) != (size_t)total + 1;
}
