"""Sessions: how they begin, meet, replace one another and are kept."""

import msgspec
import pytest

from cooee.crypto import ratchet, session
from cooee.crypto.errors import (
    BadMessage,
    BadSignature,
    BadState,
    Duplicate,
    IdentityMismatch,
    NoSession,
    ReplayedFirstMessage,
    TooFarAhead,
    UnknownPreKey,
    UnsupportedVersion,
)
from cooee.crypto.keys import ChainKey, DhPrivateKey
from cooee.crypto.prekeys import NoPreKeys
from cooee.crypto.session import MAX_ARCHIVED, MAX_PLAINTEXT, MAX_TRIED, SessionRecord
from cooee.crypto.suite import COOEE_V1, Header, MessageKind, Party, Route
from tests.fakes.pairwise import LAST_RESORT_ID, Device, make_device, make_pair


def record_of(device: Device, peer: Device) -> SessionRecord:
    return device.records[peer.me.ref]


def kind(message: bytes) -> MessageKind:
    return COOEE_V1.framing.kind(message)


def test_two_devices_talk() -> None:
    alice, bob = make_pair()
    for number in range(4):
        assert bob.decrypt(alice, alice.encrypt(bob, b"a%d" % number)) == b"a%d" % number
        assert alice.decrypt(bob, bob.encrypt(alice, b"b%d" % number)) == b"b%d" % number


def test_messages_are_first_messages_until_the_first_answer() -> None:
    alice, bob = make_pair(talk=False)
    alice.start(bob)
    messages = [alice.encrypt(bob, b"%d" % number) for number in range(3)]
    assert {kind(message) for message in messages} == {MessageKind.FIRST}
    assert not record_of(alice, bob).is_answered()
    assert [bob.decrypt(alice, message) for message in messages] == [b"0", b"1", b"2"]
    answer = bob.encrypt(alice, b"answer")
    assert kind(answer) is MessageKind.NEXT
    assert alice.decrypt(bob, answer) == b"answer"
    assert record_of(alice, bob).is_answered()
    assert kind(alice.encrypt(bob, b"short now")) is MessageKind.NEXT


def test_any_of_the_first_messages_begins_the_session_and_uses_the_keys_once() -> None:
    alice, bob = make_pair(talk=False)
    alice.start(bob)
    first, second = alice.encrypt(bob, b"first"), alice.encrypt(bob, b"second")
    opened = bob.open(alice, second)
    assert (opened.new_session, opened.used_one_time_pre_key, opened.used_kem_key) == (True, 1, 1)
    assert (opened.replay_tag, opened.last_resort_id) == (None, None)
    assert bob.decrypt(alice, second) == b"second"
    opened = bob.open(alice, first)
    assert (opened.new_session, opened.used_one_time_pre_key, opened.used_kem_key) == (False, None, None)
    assert bob.decrypt(alice, first) == b"first"
    assert record_of(alice, bob).base_key() == record_of(bob, alice).base_key()
    assert record_of(bob, alice).archived == ()


def test_one_time_keys_are_reported_only_after_success() -> None:
    alice, bob = make_pair(talk=False)
    alice.start(bob)
    message = alice.encrypt(bob, b"m")
    with pytest.raises(BadMessage):
        bob.decrypt(alice, message[:-1] + bytes((message[-1] ^ 1,)))
    assert set(bob.one_time) == set(bob.kems) == {1, 2}
    assert bob.records == {}
    assert bob.decrypt(alice, message) == b"m"
    assert set(bob.one_time) == set(bob.kems) == {2}


def test_every_part_of_a_first_message_counts() -> None:
    alice, bob = make_pair(talk=False)
    alice.start(bob)
    first = COOEE_V1.framing.decode_first(alice.encrypt(bob, b"m"))
    eve = make_device("eve")
    changes: list[dict[str, object]] = [
        {"base_key": eve.signed.private.public()},
        {"one_time_pre_key_id": 2},
        {"one_time_pre_key_id": None},
        {"kem_key_id": 2},
        {"kem_key_id": LAST_RESORT_ID},
        {"kem_ciphertext": bytes(1568)},
        {"kem_ciphertext": bytes(1)},
        {"message": first.message[:-1]},
    ]
    for change in changes:
        with pytest.raises(BadMessage):
            bob.decrypt(alice, COOEE_V1.framing.encode_first(first._replace(**change)))  # type: ignore[arg-type]
    assert bob.records == {}
    assert bob.decrypt(alice, COOEE_V1.framing.encode_first(first)) == b"m"


@pytest.mark.parametrize("change", [{"signed_pre_key_id": 8}, {"one_time_pre_key_id": 9}, {"kem_key_id": 9}])
def test_a_first_message_that_names_an_unknown_key_is_refused(change: dict[str, int]) -> None:
    alice, bob = make_pair(talk=False)
    alice.start(bob)
    first = COOEE_V1.framing.decode_first(alice.encrypt(bob, b"m"))
    with pytest.raises(UnknownPreKey):
        bob.decrypt(alice, COOEE_V1.framing.encode_first(first._replace(**change)))  # type: ignore[arg-type]


def test_a_replayed_first_message_with_one_time_keys_is_refused() -> None:
    alice, bob = make_pair(talk=False)
    alice.start(bob)
    message = alice.encrypt(bob, b"m")
    bob.decrypt(alice, message)
    with pytest.raises(Duplicate):
        bob.decrypt(alice, message)
    bob.records.clear()
    with pytest.raises(UnknownPreKey):
        bob.decrypt(alice, message)


def test_a_replayed_first_message_with_the_last_resort_key_is_refused() -> None:
    alice, bob = make_pair(one_time=0, talk=False)
    alice.start(bob)
    message, other = alice.encrypt(bob, b"m"), alice.encrypt(bob, b"n")
    opened = bob.open(alice, message)
    assert opened.last_resort_id == LAST_RESORT_ID
    assert opened.replay_tag is not None
    assert len(opened.replay_tag) == 32
    assert opened.used_kem_key is None
    bob.decrypt(alice, message)
    bob.records.clear()
    for replayed in (message, other):
        with pytest.raises(ReplayedFirstMessage):
            bob.decrypt(alice, replayed)
    alice.start(bob)
    assert bob.decrypt(alice, alice.encrypt(bob, b"another agreement")) == b"another agreement"


def test_a_tag_is_not_given_for_what_failed() -> None:
    alice, bob = make_pair(one_time=0, talk=False)
    alice.start(bob)
    message = alice.encrypt(bob, b"m")
    with pytest.raises(BadMessage):
        bob.decrypt(alice, message[:-1] + bytes((message[-1] ^ 1,)))
    assert bob.tags == set()
    assert bob.decrypt(alice, message) == b"m"


def test_simultaneous_initiation_keeps_both_and_promotes_what_decrypts() -> None:
    alice, bob = make_pair(talk=False)
    alice.start(bob)
    bob.start(alice)
    there, back = alice.encrypt(bob, b"there"), bob.encrypt(alice, b"back")
    hers, his = record_of(alice, bob).base_key(), record_of(bob, alice).base_key()
    assert alice.decrypt(bob, back) == b"back"
    assert bob.decrypt(alice, there) == b"there"
    assert (record_of(alice, bob).base_key(), record_of(bob, alice).base_key()) == (his, hers)
    assert len(record_of(alice, bob).archived) == len(record_of(bob, alice).archived) == 1
    message = alice.encrypt(bob, b"on")
    assert bob.decrypt(alice, message) == b"on"
    assert record_of(alice, bob).base_key() == record_of(bob, alice).base_key() == his
    for number in range(3):
        assert alice.decrypt(bob, bob.encrypt(alice, b"%d" % number)) == b"%d" % number
        assert bob.decrypt(alice, alice.encrypt(bob, b"%d" % number)) == b"%d" % number
    assert record_of(bob, alice).is_answered()


def test_a_new_session_archives_the_old_which_still_decrypts() -> None:
    alice, bob = make_pair()
    late = bob.encrypt(alice, b"late")
    alice.start(bob)
    fresh = alice.encrypt(bob, b"fresh")
    assert alice.decrypt(bob, late) == b"late"
    assert bob.decrypt(alice, fresh) == b"fresh"
    assert len(record_of(bob, alice).archived) == 1


def test_at_most_40_sessions_are_archived_and_the_oldest_goes() -> None:
    alice, bob = make_pair()
    late = bob.encrypt(alice, b"late")
    for _ in range(MAX_ARCHIVED):
        alice.start(bob)
    record = record_of(alice, bob)
    assert len(record.archived) == MAX_ARCHIVED
    assert alice.open(bob, late).plaintext == b"late"
    alice.start(bob)
    assert len(record_of(alice, bob).archived) == MAX_ARCHIVED
    with pytest.raises(NoSession):
        alice.decrypt(bob, late)


def test_a_promoted_session_does_not_lengthen_the_archive() -> None:
    alice, bob = make_pair()
    late = bob.encrypt(alice, b"late")
    for _ in range(MAX_ARCHIVED):
        alice.start(bob)
    alice.decrypt(bob, late)
    assert len(record_of(alice, bob).archived) == MAX_ARCHIVED
    assert record_of(alice, bob).base_key() == record_of(bob, alice).base_key()


def test_a_retired_session_sends_no_more_and_still_decrypts() -> None:
    """A restored backup forces new sessions: what it would send was perhaps sent before, with the same keys."""
    alice, bob = make_pair()
    late = bob.encrypt(alice, b"late")
    alice.records[bob.me.ref] = record_of(alice, bob).retired()
    assert not record_of(alice, bob).can_encrypt()
    assert not record_of(alice, bob).is_answered()
    assert record_of(alice, bob).base_key() is None
    with pytest.raises(NoSession):
        alice.encrypt(bob, b"m")
    alice.start(bob)
    assert record_of(alice, bob).can_encrypt()
    assert bob.decrypt(alice, alice.encrypt(bob, b"anew")) == b"anew"
    assert alice.decrypt(bob, late) == b"late"


def test_a_late_message_does_not_bring_a_retired_session_back() -> None:
    """Else a restored device would encrypt with a chain that it used after the backup, with the same keys and vectors.

    Nor does one of a chain that began since, and a session that is begun anew stays the current one.
    """
    alice, bob = make_pair()
    late, backup = [bob.encrypt(alice, b"late"), bob.encrypt(alice, b"later")], record_of(alice, bob)
    used = alice.encrypt(bob, b"sent after the backup")
    bob.decrypt(alice, used)
    turned = bob.encrypt(alice, b"turned")
    alice.records[bob.me.ref] = SessionRecord.load(backup.retired().dump())
    assert alice.decrypt(bob, late[0]) == b"late"
    assert not record_of(alice, bob).can_encrypt()
    with pytest.raises(Duplicate):
        alice.decrypt(bob, late[0])
    alice.start(bob)
    begun = record_of(alice, bob).base_key()
    assert alice.decrypt(bob, late[1]) == b"later"
    assert alice.decrypt(bob, turned) == b"turned"
    assert record_of(alice, bob).base_key() == begun
    assert not record_of(alice, bob).is_answered()
    assert len(record_of(alice, bob).archived) == 1
    assert bob.decrypt(alice, alice.encrypt(bob, b"anew")) == b"anew"
    assert alice.decrypt(bob, bob.encrypt(alice, b"answer")) == b"answer"


def test_every_session_of_a_record_is_retired_not_the_current_one_alone() -> None:
    alice, bob = make_pair()
    late = bob.encrypt(alice, b"late")
    alice.start(bob)
    alice.records[bob.me.ref] = record_of(alice, bob).retired()
    assert alice.decrypt(bob, late) == b"late"
    assert not record_of(alice, bob).can_encrypt()


def test_a_forged_message_costs_a_bounded_number_of_steps_over_all_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever can send here needs no key to name a chain that nobody knows, and the greatest number in it."""
    alice, bob = make_pair()
    for _ in range(MAX_ARCHIVED):
        bob.start(alice)
        alice.decrypt(bob, bob.encrypt(alice, b"m"))
        bob.decrypt(alice, alice.encrypt(bob, b"m"))
    steps: list[int] = []
    advanced = ratchet._advanced

    def counted(key: ChainKey, number: int) -> list[bytes]:
        steps.append(number)
        return advanced(key, number)

    monkeypatch.setattr(ratchet, "_advanced", counted)
    route = Route(alice.party, bob.party)
    before = record_of(bob, alice)
    for counter, sessions in ((0, MAX_ARCHIVED + 1), (96, MAX_ARCHIVED + 1), (97, 40), (1000, 3), (2000, 2), (2001, 0)):
        header = Header(DhPrivateKey(b"f" * 32).public(), counter, 0)
        forged = COOEE_V1.framing.encode_message(route, header, bytes(16)) + bytes(32)
        with pytest.raises((NoSession, TooFarAhead)):
            bob.decrypt(alice, forged)
        assert len(steps) == sessions
        assert sum(steps) <= MAX_TRIED + MAX_ARCHIVED
        steps.clear()
    assert record_of(bob, alice) == before


def test_a_next_message_without_a_session_is_refused() -> None:
    alice, bob = make_pair()
    message = alice.encrypt(bob, b"m")
    bob.records.clear()
    with pytest.raises(NoSession):
        bob.decrypt(alice, message)


def test_a_message_that_no_session_decrypts_is_refused_and_changes_nothing() -> None:
    alice, bob = make_pair()
    before = bob.records[alice.me.ref].dump()
    stranger, other = make_pair(9)
    for message in (stranger.encrypt(other, b"m"), alice.encrypt(bob, b"m")[:-1] + b"\x00\x00"):
        with pytest.raises((NoSession, BadMessage)):
            bob.decrypt(alice, message)
    assert bob.records[alice.me.ref].dump() == before


def test_a_message_too_far_ahead_says_so_in_an_archived_session_too() -> None:
    alice, bob = make_pair()
    bob.start(alice)
    alice.decrypt(bob, bob.encrypt(alice, b"turn"))
    bob.decrypt(alice, alice.encrypt(bob, b"turned"))
    alice.decrypt(bob, bob.encrypt(alice, b"turn again"))
    bob.start(alice)
    for _ in range(2001):
        alice.encrypt(bob, b"lost")
    with pytest.raises(TooFarAhead):
        bob.decrypt(alice, alice.encrypt(bob, b"m"))


def test_another_identity_is_refused() -> None:
    alice, bob = make_pair(talk=False)
    eve = make_device("eve")
    alice.start(bob)
    message = alice.encrypt(bob, b"m")
    as_eve = Party(alice.me.ref, eve.party.identity)
    with pytest.raises(IdentityMismatch):
        session.decrypt(COOEE_V1, bob.me, as_eve, None, message, bob)
    bob.decrypt(alice, message)
    record = record_of(bob, alice)
    for me, peer in (
        (bob.me, as_eve),
        (bob.me, eve.party),
        (bob.me._replace(identity=eve.me.identity), alice.party),
        (bob.me._replace(ref=eve.me.ref), alice.party),
    ):
        with pytest.raises(IdentityMismatch):
            session.decrypt(COOEE_V1, me, peer, record, alice.encrypt(bob, b"n"), NoPreKeys())
    with pytest.raises(IdentityMismatch):
        session.start(COOEE_V1, bob.me, alice.me.ref, eve.bundle(), bob.random, record)


def test_a_session_is_bound_to_both_addresses() -> None:
    """A message that the server delivers as another device's, with all its keys, is refused."""
    alice, bob = make_pair(talk=False)
    alice.start(bob)
    message = alice.encrypt(bob, b"m")
    elsewhere = Party(alice.me.ref._replace(device_id="alice2"), alice.party.identity)
    with pytest.raises(BadMessage):
        session.decrypt(COOEE_V1, bob.me, elsewhere, None, message, bob)
    me = bob.me._replace(ref=bob.me.ref._replace(user_id="bobby"))
    with pytest.raises(BadMessage):
        session.decrypt(COOEE_V1, me, alice.party, None, message, bob)


def test_a_bundle_with_a_wrong_signature_begins_nothing() -> None:
    alice, bob = make_pair(talk=False)
    bundle = bob.bundle()._replace(signed_pre_key_signature=bytes(64))
    with pytest.raises(BadSignature):
        session.start(COOEE_V1, alice.me, bob.me.ref, bundle, alice.random)


@pytest.mark.parametrize("one_time", [0, 2])
def test_a_message_holds_at_most_60_kib(one_time: int) -> None:
    alice, bob = make_pair(one_time=one_time, talk=False)
    alice.start(bob)
    plaintext = bytes(MAX_PLAINTEXT)
    assert bob.decrypt(alice, alice.encrypt(bob, plaintext)) == plaintext
    with pytest.raises(BadMessage):
        alice.encrypt(bob, plaintext + b"m")


def test_another_version_is_told() -> None:
    alice, bob = make_pair()
    message = alice.encrypt(bob, b"m")
    with pytest.raises(UnsupportedVersion):
        bob.decrypt(alice, b"\x02" + message[1:])
    with pytest.raises(BadMessage):
        bob.decrypt(alice, b"")


def test_a_record_is_kept_as_bytes_and_goes_on() -> None:
    alice, bob = make_pair()
    alice.start(bob)
    late = bob.encrypt(alice, b"late")
    for device in (alice, bob):
        for ref, record in device.records.items():
            data = record.dump()
            assert data[0] == 1
            assert SessionRecord.load(data) == record
            device.records[ref] = SessionRecord.load(data)
    assert alice.decrypt(bob, late) == b"late"
    assert bob.decrypt(alice, alice.encrypt(bob, b"on")) == b"on"


def test_a_record_of_an_older_version_is_migrated(monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted version 0 that had no archive."""
    alice, bob = make_pair()
    fields = msgspec.msgpack.decode(record_of(alice, bob).dump()[1:])
    old = b"\x00" + msgspec.msgpack.encode(fields[:3])
    with pytest.raises(BadState):
        SessionRecord.load(old)
    migration = {0: lambda body: msgspec.msgpack.encode([*msgspec.msgpack.decode(body), []])}
    monkeypatch.setattr(session.STORED, "migrations", migration)
    alice.records[bob.me.ref] = SessionRecord.load(old)
    assert bob.decrypt(alice, alice.encrypt(bob, b"on")) == b"on"


def test_a_record_from_before_sessions_were_retired_one_by_one_loads() -> None:
    alice, bob = make_pair()
    alice.start(bob)
    record = record_of(alice, bob)
    stored = msgspec.msgpack.decode(record.dump()[1:])
    for one in (stored[2], *stored[3]):
        assert one.pop() is False
    assert SessionRecord.load(record.dump()[:1] + msgspec.msgpack.encode(stored)) == record


def test_damaged_records_are_refused() -> None:
    alice, bob = make_pair()
    data = record_of(alice, bob).dump()
    for length in range(len(data)):
        with pytest.raises(BadState):
            SessionRecord.load(data[:length])


def test_nothing_of_a_record_is_printed() -> None:
    alice, bob = make_pair()
    record = record_of(alice, bob)
    assert repr(record) == "<SessionRecord>"
    assert repr(record.current) == "<Session>"
    assert "\\x" not in repr(alice.me)


def test_what_came_of_a_message_does_not_print_it() -> None:
    alice, bob = make_pair()
    assert "the plaintext" not in repr(bob.open(alice, alice.encrypt(bob, b"the plaintext")))
