"""Names that users chose: all addresses are looked at, and name servers that never answer hold up no other name."""

import threading
from collections.abc import Iterator, Sequence

import pytest

from cooee.adapters.http import checked_resolver
from cooee.adapters.http.checked_resolver import AddressRefused, CheckedResolver
from cooee.domain.addresses import AddressRules


class Names:
    """Name servers: those of names with "silent" in them do not answer until they are let."""

    def __init__(self) -> None:
        self.addresses: list[str] = ["93.184.215.14"]
        self.answering = threading.Event()
        self.silent = ""
        self.asked: list[str] = []

    def __call__(self, host: str, _port: int) -> Sequence[str]:
        self.asked.append(host)
        if host.startswith("silent") or host == self.silent:
            self.answering.wait(20)
        return list(self.addresses)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    monkeypatch.setattr(checked_resolver, "PATIENCE_S", 0.05)
    made = Names()
    yield made
    made.answering.set()


async def found(resolver: CheckedResolver, host: str) -> list[str]:
    return [one["host"] for one in await resolver.resolve(host, 443)]


async def test_what_is_remembered_will_do_while_name_servers_are_silent(names: Names) -> None:
    resolver = CheckedResolver(AddressRules(), names, 1, "names", remembered_s=60)
    assert await found(resolver, "push.example") == names.addresses
    names.silent = "push.example"
    former, names.addresses = names.addresses, ["93.184.215.15"]
    assert [await found(resolver, "push.example") for _ in range(3)] == [former] * 3
    assert names.asked == ["push.example"] * 2, "once, however often it is wanted meanwhile"
    names.answering.set()
    while await found(resolver, "push.example") == former:
        pass
    await resolver.close()


async def test_what_has_changed_to_an_address_inside_is_refused(names: Names) -> None:
    resolver = CheckedResolver(AddressRules(), names, 1, "names", remembered_s=60)
    await found(resolver, "push.example")
    names.addresses = ["93.184.215.14", "10.0.0.1"]
    for _ in range(2):
        with pytest.raises(AddressRefused):
            await found(resolver, "push.example")
    await resolver.close()


async def test_without_a_memory_each_attempt_waits_for_the_name_server(names: Names) -> None:
    resolver = CheckedResolver(AddressRules(), names, 1, "names")
    await found(resolver, "push.example")
    names.addresses = ["10.0.0.1"]
    with pytest.raises(AddressRefused):
        await found(resolver, "push.example")
    assert not resolver._remembered
    await resolver.close()


async def test_memory_is_bounded_and_holds_no_address_inside(names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checked_resolver, "_MAX_REMEMBERED", 2)
    resolver = CheckedResolver(AddressRules(), names, 1, "names", remembered_s=60)
    for host in ("a.example", "b.example", "c.example"):
        await found(resolver, host)
    names.addresses = ["127.0.0.1"]
    with pytest.raises(AddressRefused):
        await found(resolver, "d.example")
    assert list(resolver._remembered) == ["b.example", "c.example"]
    await resolver.close()
