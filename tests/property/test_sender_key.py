"""Sender keys in a group whose members come and go, over a network that delays, repeats and reorders.

The model knows who was a member when a message was sent. Everybody who was reads it exactly once, whatever came before
or is lost; who was not never reads it, although he keeps all that he was ever given and sees every message.
"""

import random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cooee.crypto import sender_key
from cooee.crypto.errors import CryptoError, Duplicate, NoSession
from cooee.crypto.sender_key import OwnSenderKey, PeerSenderKeys
from cooee.domain.ids import DeviceRef

GROUP = "group:model"
SENDER = DeviceRef("alice", "d1")
PEOPLE = ("bob", "carol", "dave", "eve")


class Post:
    """A message, and who was there when it was sent."""

    def __init__(self, number: int, octets: bytes, roster: int, readers: frozenset[str]) -> None:
        self.text = f"message {number}".encode()
        self.octets = octets
        self.roster = roster
        self.readers = readers
        self.read_by: set[str] = set()


class Group(RuleBasedStateMachine):
    """One sender, some people, each with everything that he was ever given."""

    @initialize(seed=st.integers(0, 2**32), members=st.sets(st.sampled_from(PEOPLE), min_size=1))
    def begin(self, seed: int, members: set[str]) -> None:
        self.random = random.Random(seed).randbytes
        self.members = set(members)
        self.known: dict[str, PeerSenderKeys | None] = dict.fromkeys(PEOPLE)
        self.holders: set[str] = set()
        self.roster = 1
        self.posts: list[Post] = []
        self.rotations = 0
        self.own = OwnSenderKey.generate(GROUP, 0, self.random)

    @rule(data=st.data())
    def send(self, data: st.DataObject) -> None:
        for name in self.members - self.holders:
            self._tell(name)
        number = len(self.posts)
        text = f"message {number}".encode()
        self.own, octets = sender_key.encrypt(self.own, text, self.roster, "hash", SENDER, self.random)
        self.posts.append(Post(number, octets, self.roster, frozenset(self.members)))
        if data.draw(st.booleans()):
            self._deliver(data.draw(st.sampled_from(PEOPLE)), self.posts[-1])

    def _tell(self, name: str) -> None:
        told = sender_key.accept(self.known[name], GROUP, SENDER, self.own.distribution())
        self.known[name] = PeerSenderKeys.load(told.dump())
        self.holders.add(name)

    @precondition(lambda self: self.members)
    @rule(data=st.data())
    def repeat_a_distribution(self, data: st.DataObject) -> None:
        self._tell(data.draw(st.sampled_from(sorted(self.members))))

    @precondition(lambda self: self.posts)
    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        self._deliver(data.draw(st.sampled_from(PEOPLE)), data.draw(st.sampled_from(self.posts)))

    def _deliver(self, name: str, post: Post) -> None:
        """Let somebody try a message, whether it is for him or not."""
        before = self.known[name]
        try:
            after, text = sender_key.decrypt(before, post.octets, post.roster, "hash")
        except (Duplicate, NoSession):
            assert self.known[name] is before
            given_up = self.rotations >= sender_key.MAX_CHAINS - 1
            assert name not in post.readers or name in post.read_by or given_up
            return
        assert text == post.text
        assert name in post.readers, "somebody reads what was not for him"
        assert name not in post.read_by, "a message is read twice"
        post.read_by.add(name)
        self.known[name] = after

    @precondition(lambda self: len(self.members) > 1)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        """Whoever leaves takes all keys with him; so there is a new chain."""
        self.members.discard(data.draw(st.sampled_from(sorted(self.members))))
        self.roster += 1
        self.own = OwnSenderKey.generate(GROUP, self.roster, self.random)
        self.holders.clear()
        self.rotations += 1

    @precondition(lambda self: len(self.members) < len(PEOPLE))
    @rule(data=st.data())
    def add(self, data: st.DataObject) -> None:
        """Whoever comes is given the chain as it is now."""
        self.members.add(data.draw(st.sampled_from([name for name in PEOPLE if name not in self.members])))
        self.roster += 1

    @precondition(lambda self: self.posts and any(self.known.values()))
    @rule(data=st.data())
    def damage(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from([name for name in PEOPLE if self.known[name]]))
        octets = bytearray(data.draw(st.sampled_from(self.posts)).octets)
        octets[data.draw(st.integers(0, len(octets) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        try:
            sender_key.decrypt(self.known[name], bytes(octets), self.posts[-1].roster, "hash")
        except CryptoError:
            return
        raise AssertionError("a damaged message is taken")

    @invariant()
    def what_is_kept_is_bounded(self) -> None:
        for known in getattr(self, "known", {}).values():
            if known is not None:
                assert len(known.chains) <= sender_key.MAX_CHAINS
                assert sum(len(chain.skipped) for chain in known.chains) <= sender_key.MAX_SKIPPED

    def teardown(self) -> None:
        """In the end all arrives."""
        for post in getattr(self, "posts", []):
            for name in PEOPLE:
                self._deliver(name, post)


TestGroup = Group.TestCase
TestGroup.settings = settings(max_examples=40, stateful_step_count=30)
