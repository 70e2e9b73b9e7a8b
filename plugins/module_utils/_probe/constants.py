# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every number that decides how probes behave, in one place."""

from __future__ import annotations

# What a user can set; these are the defaults.
TIMEOUT_S = 2.0  # the longest wait for the answer to one SYN; also for the last UDP request or echo
RETRIES = 2  # fresh tries after the first: three SYNs tell loss from a filter at 3% loss each way
RATE_PER_S = 1000.0  # new flows a second in all; every stateful firewall on the path keeps an entry for each
PER_HOST = 4  # flows in flight to one address
CONCURRENCY = 4000  # jobs in flight, if the descriptor limit allows it

# Adaptive time-outs (RFC 6298), per /24 or /64.
FLOOR_S = 0.2  # no SYN is given up earlier, however near its neighbours are
INITIAL_S = 1.0  # until a subnet has SAMPLES_NEEDED measured round trips
SAMPLES_NEEDED = 3
SMOOTHING = 0.125  # alpha of RFC 6298, 2.3
VARIANCE_SMOOTHING = 0.25  # beta of RFC 6298, 2.3
VARIANCE_FACTOR = 4.0  # K of RFC 6298, 2
SAFETY_FACTOR = 2.0  # a filter is claimed only after twice the usual round trip
NEAR_S = 0.01  # round trips below, smoothed or not, keep the time-out at its floor: 2 * (10 + 4 * 10) ms is less

TRIES_FOR_LOSS = 2  # further SYNs to the silent ones of a subnet on whose way something got lost
CONFIRM_S = 3.2  # for one more SYN where silence is to be confirmed; the kernel repeats it after 1 s and 3 s (tcp(7))
DATAGRAM_INTERVAL_S = 1.0  # between UDP requests or echoes; Linux answers with one ICMP error a second and peer
UDP_BURST = 6  # ports of a host that are asked at once: Linux sends so many ICMP errors in a burst (icmp(7))
UDP_PACE_S = 1.1  # between further ports: after the burst it sends one error a second
CONTROL_PORT = 61999  # where nobody listens: what a UDP request there earns tells what silence elsewhere may mean
CONTROL_TRIES = 2
SERVICE_S = 5.0  # for all of a service's answer, after the connection stands
SECOND_SERVICE_S = 2.0  # the same for a further question: a peer that answers at all has shown how fast by then
RESOLVE_S = 10.0  # for one name
TICK_S = 0.01  # of the timing wheel
RECHECK_S = 0.2  # how far ahead a job's timer is set at most

IDLE_S = 1.0  # the longest wait of the loop while nothing is due

# sshd and fail2ban hold repeated greetings against their sender; and a reset makes sshd write an error into its log,
# where a tidy end is a line among many.
LOGIN_SERVICES = frozenset({"ssh"})

# Bounds.
LOOKAHEAD = 8192  # probes taken from the input ahead of their turn, to spread them over hosts and subnets
SPARE_DESCRIPTORS = 128  # left to the rest of the process
LEAST_WINDOW = 4
STARTS_A_TURN = 128  # so that answers are never looked at long after they came
EVENTS = 2 * CONCURRENCY  # told of in one turn of the loop
READ_CAP = 8192  # bytes of one exchange that are looked at
EXCHANGES = 3
SECOND_OPINIONS = 6  # further questions that meet silence, until what is there instead is left unknown
ADDRESSES_PER_NAME = 16
WORKERS = 16  # threads that resolve names (and run `ping`)
REMEMBERED_GREETINGS = 65536  # hosts whose SSH greeting is remembered, so that no host is greeted twice in a run

# Many probes are made by several processes.
SHARD_FROM = 50_000  # probes; below that, starting the processes costs more than they bring
SHARDS = 4  # processes at most
PIPE_BYTES = 65536  # what a pipe holds (pipe(7)); a larger buffer is mapped and given back on every read

# Guards of the vantage's own kernel.
NEIGHBOUR_THRESHOLD = 1024  # net.ipv4.neigh.default.gc_thresh3, where it cannot be read
NEIGHBOUR_HOLD_S = 3.0  # an unanswered neighbour entry stays "incomplete" for three solicitations of a second
NEIGHBOUR_PERIOD_S = 0.5  # how often the neighbour table is read
CONNTRACK_SHARE = 0.8  # of nf_conntrack_max: above it, no new flows are started
CONNTRACK_PERIOD_S = 1.0  # how often the count is read
CROWDED_PAUSE_S = 0.1  # between new flows while the own connection tracking is nearly full
