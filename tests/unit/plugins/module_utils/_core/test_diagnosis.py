# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""Every cause, its next step, and how observations are joined to paths."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.catalog import BY_ID
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.causes import (
    counting,
    join_observation,
    rejecting_stranger,
)
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.diagnosis import (
    Context,
    Key,
    Listener,
    diagnose,
    judge_fleet,
)
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.diagnosis import (
    make_verdict as make_missing_verdict,
)
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.errors import InputError
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.records import (
    Diagnosis,
    Observation,
    Verdict,
    Waiver,
)
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.selection import Roles
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import (
    Cause,
    ObservationStatus,
    Protocol,
    Readiness,
    RowStatus,
    ServiceStatus,
    VerdictStatus,
)

from .builders import ROUTER, SOURCE, TARGET, make_observation, make_path, make_rule, make_verdict

TODAY = "2026-11-22"
STRANGER = "192.0.2.99"
V, S, C, R = VerdictStatus, ObservationStatus, Cause, RowStatus


def diagnose_one(verdict: Verdict | None, *observations: Observation, **context: Any) -> Diagnosis:
    verdicts = [verdict] if verdict else []
    (found,) = diagnose(verdicts, observations, Context(today=TODAY, **context))
    return found


def blocked_by(kind: str) -> Verdict:
    return make_verdict(V.BLOCKED, paths=(make_path(V.BLOCKED, decided_by=(make_rule(kind, f"rule of {kind}"),)),))


def unknown(**values: Any) -> Verdict:
    return make_verdict(V.UNKNOWN, reason="nft is missing", **values)


OPEN_HEARD = make_verdict(listening=True, listener="sshd")
OPEN_DEAF = make_verdict(listening=False)
UNEXPECTED = make_observation(S.OPEN, service=ServiceStatus.UNEXPECTED, evidence="220 FTP")
CONFIRMED = make_observation(S.OPEN, service=ServiceStatus.CONFIRMED)
REJECTED_BY_ROUTER = make_observation(S.REJECTED, evidence=f"ICMP 3/13 from {ROUTER}")
REJECTED_BY_TARGET = make_observation(S.REJECTED, evidence=f"ICMP 3/10 from {TARGET}")

CAUSES = [
    # verdict, observations, row status, cause, what the next step says
    (OPEN_HEARD, [CONFIRMED], R.FINE, C.READY, ["Nothing to do"]),
    (None, [CONFIRMED], R.FINE, C.READY, ["Nothing to do"]),
    (make_verdict(persistent=False), [CONFIRMED], R.FINE, C.READY, ["reboot of web1", "prepare"]),
    (OPEN_HEARD, [], R.UNVERIFIED, C.READY, ["tcp/22 of web1", "verify"]),
    (OPEN_HEARD, [make_observation(S.LOCAL_ERROR, evidence="EACCES")], R.UNVERIFIED, C.READY, ["audit1", "EACCES"]),
    (
        OPEN_HEARD,
        [make_observation(S.UNVERIFIABLE_FROM_HERE)],
        R.UNVERIFIED,
        C.READY,
        ["receiving side", "audit1"],
    ),
    (blocked_by("ufw"), [], R.BLOCKED, C.HOST_FIREWALL, [SOURCE, "tcp/22 of web1", TARGET, "rule of ufw", "prepare"]),
    (
        make_verdict(V.BLOCKED, paths=(), reason="policy drop"),
        [make_observation(S.FILTERED)],
        R.BLOCKED,
        C.HOST_FIREWALL,
        ["policy drop"],
    ),
    (
        blocked_by("group_policy"),
        [],
        R.BLOCKED,
        C.MANAGED_POLICY,
        ["manage the policy of web1", "rule of group_policy"],
    ),
    (blocked_by("mdm_profile"), [CONFIRMED], R.BLOCKED, C.MANAGED_POLICY, ["no local change"]),
    (blocked_by("mdm_policy"), [CONFIRMED], R.BLOCKED, C.MANAGED_POLICY, ["no local change"]),
    (blocked_by("hosts_deny"), [], R.BLOCKED, C.SERVICE_ACL, ["web1", SOURCE, "rule of hosts_deny"]),
    (OPEN_DEAF, [make_observation(S.CLOSED)], R.BLOCKED, C.NOTHING_LISTENS, ["web1", "tcp/22", TARGET, "start"]),
    (OPEN_DEAF, [], R.UNVERIFIED, C.NOTHING_LISTENS, ["start the service"]),
    (unknown(listening=False), [make_observation(S.CLOSED)], R.BLOCKED, C.NOTHING_LISTENS, ["start the service"]),
    (OPEN_HEARD, [make_observation(S.CLOSED)], R.BLOCKED, C.PATH_BLOCKED, ["network team", "closed"]),
    (
        OPEN_HEARD,
        [make_observation(S.FILTERED, evidence="3 SYNs, 2.1 s")],
        R.BLOCKED,
        C.PATH_BLOCKED,
        ["network team", SOURCE, "tcp/22 of web1", TARGET, "audit1", "3 attempts", "3 SYNs"],
    ),
    (OPEN_DEAF, [make_observation(S.FILTERED)], R.BLOCKED, C.PATH_BLOCKED, ["network team"]),
    (OPEN_HEARD, [REJECTED_BY_ROUTER], R.BLOCKED, C.PATH_BLOCKED, [f"refused by {ROUTER}", "3/13"]),
    (unknown(), [REJECTED_BY_ROUTER], R.BLOCKED, C.PATH_BLOCKED, [f"refused by {ROUTER}"]),
    (None, [REJECTED_BY_ROUTER], R.BLOCKED, C.PATH_BLOCKED, [f"refused by {ROUTER}"]),
    (OPEN_HEARD, [make_observation(S.UNREACHABLE)], R.BLOCKED, C.PATH_BLOCKED, ["network team"]),
    (OPEN_HEARD, [UNEXPECTED], R.BLOCKED, C.WRONG_SERVICE, ["what answers on tcp/22", "linux.ssh", "220 FTP"]),
    (None, [UNEXPECTED], R.BLOCKED, C.WRONG_SERVICE, ["220 FTP"]),
    (
        OPEN_HEARD,
        [make_observation(S.FILTERED, source_address=STRANGER)],
        R.BLOCKED,
        C.SOURCE_MISMATCH,
        [SOURCE, STRANGER, "audit_ports_sources"],
    ),
    (
        OPEN_HEARD,
        [make_observation(S.OPEN, source_address=STRANGER)],
        R.UNVERIFIED,
        C.SOURCE_MISMATCH,
        [SOURCE, STRANGER],
    ),
    (
        unknown(),
        [make_observation(S.OPEN, source_address=STRANGER)],
        R.UNKNOWN,
        C.SOURCE_MISMATCH,
        [STRANGER],
    ),
    (
        OPEN_HEARD,
        [make_observation(S.NAME_ERROR, address=None, evidence="NXDOMAIN")],
        R.UNKNOWN,
        C.NAME_RESOLUTION,
        ["name of web1", "audit1", "audit_ports_address", "NXDOMAIN"],
    ),
    (make_verdict(V.NOT_APPLICABLE), [make_observation(S.CLOSED)], R.NOT_APPLICABLE, C.NOT_APPLICABLE, ["Nothing"]),
    (unknown(), [], R.UNKNOWN, C.UNKNOWN, ["tcp/22 of web1", "nft is missing"]),
    (OPEN_HEARD, [make_observation(S.NO_ANSWER, protocol=Protocol.ICMP)], R.UNKNOWN, C.UNKNOWN, ["Silence"]),
    (unknown(), [make_observation(S.LOCAL_ERROR, evidence="EMFILE")], R.UNKNOWN, C.UNKNOWN, ["audit1", "EMFILE"]),
    # closed or rejected without a witness on the host: nobody can tell
    (make_verdict(), [make_observation(S.CLOSED)], R.BLOCKED, C.UNKNOWN, ["web1", "tcp/22", "listens"]),
    (None, [make_observation(S.CLOSED)], R.BLOCKED, C.UNKNOWN, ["listens"]),
    (unknown(listening=True), [make_observation(S.CLOSED)], R.BLOCKED, C.UNKNOWN, ["listens"]),
    (None, [REJECTED_BY_TARGET], R.BLOCKED, C.UNKNOWN, ["refuses", "web1"]),
    (None, [make_observation(S.REJECTED, evidence="EHOSTUNREACH")], R.BLOCKED, C.UNKNOWN, ["refuses"]),
    (unknown(), [make_observation(S.FILTERED)], R.BLOCKED, C.UNKNOWN, ["drops", "web1"]),
    (None, [make_observation(S.UNREACHABLE)], R.BLOCKED, C.UNKNOWN, ["running", "route"]),
]


@pytest.mark.parametrize(("verdict", "observations", "status", "cause", "told"), CAUSES)
def test_cause_and_next_step(
    verdict: Verdict | None, observations: list[Observation], status: RowStatus, cause: Cause, told: list[str]
) -> None:
    found = diagnose_one(verdict, *observations)
    assert (found.status, found.cause) == (status, cause)
    for text in told:
        assert text in found.next_step
    assert "{" not in found.next_step + found.reason


def test_every_cause_has_a_case() -> None:
    assert {case[3] for case in CAUSES} == set(Cause)


def test_no_combination_breaks_or_guesses() -> None:
    """Whatever is joined gets a status, a cause and a step; nothing_listens has its witness, blocked is never ready."""
    seen = [
        make_observation(status, service=service, source_address=source, protocol=protocol)
        for status in S
        for service in (ServiceStatus.NOT_CHECKED, ServiceStatus.UNEXPECTED)
        for source in (SOURCE, STRANGER, None)
        for protocol in (Protocol.TCP, Protocol.UDP)
    ]
    verdicts = [None] + [make_verdict(status, listening=heard) for status in V for heard in (True, False, None)]
    for verdict, (first, second) in itertools.product(verdicts, itertools.product(seen[::3], seen[1::7])):
        found = diagnose_one(verdict, first, second)
        assert found.next_step
        assert found.reason.endswith(".")
        if found.cause is C.NOTHING_LISTENS:
            assert verdict is not None
            assert verdict.listening is False
        assert (found.status is R.BLOCKED) <= (found.cause not in (C.READY, C.NOT_APPLICABLE, C.NAME_RESOLUTION))
        assert (found.status is R.FINE) <= (found.cause is C.READY)
        if found.status is R.FINE:
            assert S.OPEN in (first.status, second.status)


# --- joining -----------------------------------------------------------------------------------------------------


def test_an_observation_is_joined_to_the_path_that_holds_its_source() -> None:
    other = make_path(V.BLOCKED, source="203.0.113.0/24")
    verdict = make_verdict(V.PARTIAL, paths=(make_path(), other))
    assert join_observation(verdict, make_observation(source_address="203.0.113.7")).path == other
    assert join_observation(verdict, make_observation(source_address="::ffff:192.0.2.10")).path == make_path()
    assert join_observation(verdict, make_observation(source_address=STRANGER)).foreign


def test_the_verdict_on_the_own_path_counts_not_that_on_all() -> None:
    dark = make_path(V.UNKNOWN, source="203.0.113.0/24")
    verdict = make_verdict(V.UNKNOWN, paths=(make_path(), dark))
    assert diagnose_one(verdict, make_observation(S.FILTERED)).cause is C.PATH_BLOCKED
    assert diagnose_one(verdict, make_observation(S.FILTERED, source_address="203.0.113.7")).cause is C.UNKNOWN


def test_nothing_listens_whoever_asks() -> None:
    closed = make_observation(S.CLOSED, source_address=STRANGER)
    assert diagnose_one(OPEN_DEAF, closed).cause is C.NOTHING_LISTENS
    assert diagnose_one(OPEN_HEARD, closed).cause is C.SOURCE_MISMATCH
    filtered = make_observation(S.FILTERED, source_address=STRANGER)
    assert diagnose_one(OPEN_DEAF, filtered).cause is C.SOURCE_MISMATCH


def test_what_was_tried_is_told_to_the_letter() -> None:
    shut = make_observation(S.FILTERED, evidence="3 SYNs in 2.1 s.")
    assert diagnose_one(None, shut).next_step == (
        f"Find who drops the packets of {SOURCE}: first the firewall of web1, then the devices on the path."
        f" Tried tcp/22 at {TARGET} from audit1 ({SOURCE}), 3 attempts: filtered, 3 SYNs in 2.1 s."
        " As long as nobody can sign in to web1, the lookup agentless.audit_ports.commands writes the script that opens"
        " it there."
    )
    ping = make_observation(S.FILTERED, protocol=Protocol.ICMP, port=None, attempts=1, source_address=None)
    assert diagnose_one(None, ping).next_step == (
        "Find who drops the packets of the audit host: first the firewall of web1, then the devices on the path."
        f" Tried icmp at {TARGET} from audit1, 1 attempt: filtered."
        " As long as nobody can sign in to web1, the lookup agentless.audit_ports.commands writes the script that opens"
        " it there."
    )


def test_the_reason_tells_verdict_listener_and_observations() -> None:
    seen = make_observation(S.OPEN, service=ServiceStatus.CONFIRMED, evidence="SSH-2.0-OpenSSH_9.2p1")
    found = diagnose_one(make_verdict(listening=True, listener="sshd", persistent=False), *[seen] * 5)
    sentence = f"Seen from audit1 ({SOURCE}): open, the service is confirmed, SSH-2.0-OpenSSH_9.2p1. "
    assert found.reason == (
        "The host's firewall lets it in; not after a reboot: zone public. Listening: sshd. "
        + sentence * 3
        + "2 more observations."
    )


def test_the_path_to_the_probed_address_is_preferred() -> None:
    paths = (make_path(V.OPEN), make_path(V.BLOCKED, destination="2001:db8::12"))
    verdict = make_verdict(V.PARTIAL, paths=paths)
    joined = join_observation(verdict, make_observation(address="2001:db8:0::12"))
    assert joined.path == paths[1]


def test_where_the_vantage_cannot_tell_its_source_the_declared_one_is_assumed_and_marked() -> None:
    found = diagnose_one(OPEN_HEARD, make_observation(S.FILTERED, source_address=None))
    assert found.cause is C.PATH_BLOCKED
    assert "declared source assumed" in found.reason
    assert "assumed" not in diagnose_one(OPEN_HEARD, make_observation(S.FILTERED)).reason


def test_what_the_target_saw_goes_before_what_the_vantage_believes() -> None:
    shut = make_observation(S.FILTERED)
    assert diagnose_one(OPEN_HEARD, shut, seen_sources={"web1": SOURCE}).cause is C.PATH_BLOCKED
    found = diagnose_one(OPEN_HEARD, shut, seen_sources={"web1": STRANGER})
    assert found.cause is C.SOURCE_MISMATCH
    assert STRANGER in found.next_step
    behind_nat = make_observation(S.FILTERED, source_address="10.9.9.9")
    assert diagnose_one(OPEN_HEARD, behind_nat, seen_sources={"web1": SOURCE}).cause is C.PATH_BLOCKED


def test_a_failed_probe_from_elsewhere_is_no_finding_beside_one_of_the_sources() -> None:
    elsewhere = make_observation(S.FILTERED, source_address=STRANGER, vantage="controller")
    found = diagnose_one(OPEN_HEARD, elsewhere, CONFIRMED)
    assert (found.status, found.cause) == (R.FINE, C.READY)
    assert "none of the declared sources" in found.reason
    joined = [join_observation(OPEN_HEARD, item) for item in (elsewhere, CONFIRMED)]
    assert [item.observation for item in counting(joined)] == [CONFIRMED]


def test_of_several_failures_the_most_telling_speaks() -> None:
    found = diagnose_one(None, make_observation(S.FILTERED), REJECTED_BY_ROUTER)
    assert (found.cause, ROUTER in found.next_step) == (C.PATH_BLOCKED, True)


def test_partial_names_only_the_sources_that_are_shut() -> None:
    shut = make_path(V.BLOCKED, source="203.0.113.7", decided_by=(make_rule("ufw", "deny from 203.0.113.7"),))
    found = diagnose_one(make_verdict(V.PARTIAL, paths=(make_path(), shut)))
    assert found.cause is C.HOST_FIREWALL
    assert found.next_step.startswith("Let 203.0.113.7 in")


def test_managed_policy_goes_before_rules_of_the_host() -> None:
    rules = (make_rule("ufw", "local"), make_rule("group_policy", "GPO 7"))
    found = diagnose_one(make_verdict(V.BLOCKED, paths=(make_path(V.BLOCKED, decided_by=rules),)))
    assert found.cause is C.MANAGED_POLICY
    assert "no local change helps against GPO 7." in found.next_step
    rules = (make_rule("ufw", "local"), make_rule("hosts_deny", "ALL"))
    found = diagnose_one(make_verdict(V.BLOCKED, paths=(make_path(V.BLOCKED, decided_by=rules),)))
    assert found.cause is C.HOST_FIREWALL


@pytest.mark.parametrize(
    ("evidence", "address"),
    [
        (f"ICMP 3/13 from {ROUTER}", ROUTER),
        (f"rejected by {ROUTER}: administratively prohibited.", ROUTER),
        ("ICMPv6 1/1 from 2001:db8::1.", "2001:db8::1"),
        (f"ICMP 3/13 from {TARGET}", None),
        (f"{SOURCE} -> {TARGET}", None),
        ("at 12:30, code 3.13", None),
        ("", None),
    ],
)
def test_who_rejected_is_read_from_the_evidence(evidence: str, address: str | None) -> None:
    assert rejecting_stranger(make_observation(S.REJECTED, evidence=evidence)) == address
    assert rejecting_stranger(make_observation(S.FILTERED, evidence=evidence)) is None


# --- waivers, listeners, rows ------------------------------------------------------------------------------------


def waiver(**values: Any) -> Waiver:
    return Waiver(**{"requirement": "linux.ssh", "hosts": ("web1",), "reason": "agreed", "expiry": TODAY, **values})


def test_a_waiver_keeps_the_cause_visible() -> None:
    found = diagnose_one(blocked_by("ufw"), waivers=[waiver()])
    assert (found.status, found.cause, found.waiver) == (R.WAIVED, C.HOST_FIREWALL, waiver())
    assert found.next_step == f"Waived until {TODAY}: agreed."
    assert f"Waived until {TODAY}: agreed" in found.reason


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ({"expiry": "2026-11-22"}, R.WAIVED),
        ({"expiry": "2026-11-21"}, R.BLOCKED),
        ({"expiry": None}, R.WAIVED),
        ({"hosts": ("*",)}, R.WAIVED),
        ({"hosts": ("web2", "web1")}, R.WAIVED),
        ({"hosts": ("web2",)}, R.BLOCKED),
        ({"requirement": "snmp.agent"}, R.BLOCKED),
    ],
)
def test_a_waiver_holds_for_its_hosts_requirement_and_days(values: dict[str, Any], status: RowStatus) -> None:
    assert diagnose_one(blocked_by("ufw"), waivers=[waiver(**values)]).status is status


def test_an_expired_waiver_is_told_and_a_valid_one_goes_before_it() -> None:
    old = waiver(expiry="2026-01-01", reason="old")
    found = diagnose_one(blocked_by("ufw"), waivers=[old])
    assert (found.waiver, "expired on 2026-01-01" in found.reason) == (None, True)
    assert diagnose_one(blocked_by("ufw"), waivers=[old, waiver()]).waiver == waiver()


def test_a_waiver_of_nothing_known_is_refused() -> None:
    with pytest.raises(InputError, match=r"waivers, row 2: requirement: 'linux\.shh'.*linux\.ssh"):
        diagnose_one(blocked_by("ufw"), waivers=[waiver(), waiver(requirement="linux.shh")])


def test_a_witness_fills_in_what_the_verdict_does_not_know() -> None:
    closed = make_observation(S.CLOSED)
    witness = {Key("web1", "linux.ssh"): Listener(False)}
    assert diagnose_one(make_verdict(), closed, listeners=witness).cause is C.NOTHING_LISTENS
    assert diagnose_one(OPEN_HEARD, closed, listeners=witness).cause is C.PATH_BLOCKED


def test_rows_stay_together_by_host_and_the_newest_verdict_counts() -> None:
    verdicts = [
        make_verdict(host="web2"),
        blocked_by("ufw"),
        make_verdict(host="web2", requirement="snmp.agent", protocol=Protocol.UDP, port=161),
        OPEN_HEARD,
    ]
    seen = [make_observation(S.OPEN, host="nas1", requirement="nas.netbios_session", port=139)]
    found = diagnose(verdicts, seen, Context(today=TODAY))
    assert [(item.host, item.requirement) for item in found] == [
        ("web2", "linux.ssh"),
        ("web2", "snmp.agent"),
        ("web1", "linux.ssh"),
        ("nas1", "nas.netbios_session"),
    ]
    assert found[2].verdict == OPEN_HEARD
    assert found[3].verdict is None


def test_the_judged_port_is_the_one_that_is_told() -> None:
    assert "tcp/2222 of web1" in diagnose_one(make_verdict(V.BLOCKED, port=2222, paths=())).next_step


def test_a_requirement_of_ones_own_is_known_by_its_verdict_but_not_by_an_observation_alone() -> None:
    assert diagnose_one(make_verdict(requirement="linux.agent")).status is R.UNVERIFIED
    with pytest.raises(InputError, match=r"'linux\.agent' on web1"):
        diagnose_one(None, make_observation(requirement="linux.agent"))


def test_hostile_evidence_is_made_safe() -> None:
    found = diagnose_one(None, make_observation(S.FILTERED, evidence="\x1b[31mx\x1b[0m\r\n\u202e" + "A" * 5000))
    assert "\x1b" not in found.reason + found.next_step
    assert "\u202e" not in found.reason + found.next_step
    assert len(found.reason) < 1000


def test_missing_verdicts_are_unknown_or_not_applicable() -> None:
    kerberos = BY_ID["windows.kerberos"]
    assert make_missing_verdict(kerberos, "w1", roles=Roles(), reason="unreachable").status is V.UNKNOWN
    assert make_missing_verdict(kerberos, "w1", roles=Roles(True), reason="unreachable").reason == "unreachable"
    member = make_missing_verdict(kerberos, "w1", roles=Roles(False), reason="unreachable")
    assert (member.status, "domain controller" in member.reason) == (V.NOT_APPLICABLE, True)


def test_readiness_of_a_fleet() -> None:
    context = Context(today=TODAY)
    found = diagnose([OPEN_HEARD, make_verdict(V.BLOCKED, host="web2")], [], context)
    hosts = judge_fleet(found, context, {"gone": ["linux"], "web2": ["snmp", "linux"]}, {})
    assert [(item.host, item.systems, item.readiness) for item in hosts] == [
        ("gone", ("linux",), Readiness.UNKNOWN),
        ("web2", ("snmp", "linux"), Readiness.NOT_READY),
        ("web1", ("linux",), Readiness.READY),
    ]
