"""Who a peer is: by its uid, its token or its certificate, and nobody else for it."""

import hmac
import os
import socket
from pathlib import Path

import pytest

from sandbox.server import tenants as module
from sandbox.server.config import config_from_mapping
from sandbox.server.tenants import Tenants, new_token, peer_uid
from sandbox.spec.errors import RefusedError

OWN = os.geteuid()
LISTED, ALLOWED, STRANGER = 20001, 20002, 20003


@pytest.fixture
def token_and_hash() -> tuple[str, str]:
    return new_token()


@pytest.fixture
def tenants(token_and_hash: tuple[str, str]) -> Tenants:
    _, token_hash = token_and_hash
    document = {
        "listen": {"allow_users": [ALLOWED]},
        "tenants": {
            "judge": {"users": [LISTED], "tokens": [token_hash], "weight": 3},
            "ci": {"tokens": [new_token()[1], new_token()[1]]},
        },
    }
    config = config_from_mapping(document, Path("/"))
    return Tenants(config.tenants, config.listen.allowed_uids)


def test_our_own_uid_and_root_are_local_and_no_others(tenants: Tenants) -> None:
    assert {uid for uid in tenants.uids if tenants.of_uid(uid).is_local} == {OWN, 0}
    assert tenants.of_uid(OWN).name == f"uid-{OWN}"


def test_a_listed_user_is_its_tenant_and_an_allowed_one_its_own(tenants: Tenants) -> None:
    assert tenants.of_uid(LISTED).name == "judge"
    assert tenants.of_uid(LISTED).config.weight == 3
    assert tenants.of_uid(ALLOWED).name == f"uid-{ALLOWED}"
    assert tenants.of_uid(ALLOWED).config.weight == 1


def test_a_listed_uid_that_is_our_own_is_local_and_its_tenant() -> None:
    config = config_from_mapping({"tenants": {"judge": {"users": [OWN]}}}, Path("/"))
    own = Tenants(config.tenants).of_uid(OWN)
    assert (own.name, own.is_local) == ("judge", True)


@pytest.mark.parametrize("uid", [STRANGER, 65534, (1 << 32) - 1])
def test_any_other_uid_is_refused(tenants: Tenants, uid: int) -> None:
    with pytest.raises(RefusedError, match=f"uid {uid} may not use this server") as caught:
        tenants.of_uid(uid)
    assert caught.value.retry_after_seconds is None


@pytest.mark.parametrize("overflow_uid", [65534, 4321])
def test_the_overflow_uid_is_refused_even_if_it_is_allowed_or_our_own(
    monkeypatch: pytest.MonkeyPatch, overflow_uid: int
) -> None:
    monkeypatch.setattr(module, "_overflow_uid", lambda: overflow_uid)
    monkeypatch.setattr(os, "geteuid", lambda: overflow_uid)
    with pytest.raises(RefusedError):
        Tenants((), [overflow_uid]).of_uid(overflow_uid)


def test_the_kernel_says_who_connected() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert peer_uid(ours) == os.geteuid()


def test_a_token_opens_for_its_tenant(tenants: Tenants, token_and_hash: tuple[str, str]) -> None:
    tenant = tenants.of_token(token_and_hash[0])
    assert (tenant.name, tenant.is_local) == ("judge", False)


def test_nothing_but_the_token_opens(tenants: Tenants, token_and_hash: tuple[str, str]) -> None:
    token, token_hash = token_and_hash
    wrong = ["", token[:-1], token + "x", token.upper(), token_hash, token_hash[7:], "\udcff",
             "\0", "x" * 1_000_000, new_token()[0]]  # fmt: skip
    messages = set()
    for text in wrong:
        with pytest.raises(RefusedError) as caught:
            tenants.of_token(text)
        messages.add(str(caught.value))
    assert messages == {"the token is not known here"}


def test_a_token_is_compared_with_all_in_constant_time(
    tenants: Tenants, token_and_hash: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = []

    def note(known: bytes, digest: bytes) -> bool:
        compared.append(known)
        return known == digest

    monkeypatch.setattr(hmac, "compare_digest", note)
    tenants.of_token(token_and_hash[0])
    assert len(set(compared)) == 3


def test_tokens_are_new_each_time_and_hard_to_guess() -> None:
    made = [new_token() for _ in range(100)]
    assert len({token for token, _ in made}) == len({hash_ for _, hash_ in made}) == 100
    assert all(len(token) >= len("sandbox_") + 256 / 6 for token, _ in made)


def test_a_certificate_of_nobody_is_refused(tenants: Tenants) -> None:
    with pytest.raises(RefusedError):
        tenants.of_certificate(b"")


def test_a_tenant_that_the_file_names_no_more_has_what_is_usual(tenants: Tenants) -> None:
    assert tenants.config_of("judge").weight == 3
    assert tenants.config_of("gone").weight == 1
    assert tenants.config_of("gone").name == "gone"
