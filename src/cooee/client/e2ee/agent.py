"""The agent of one device. See the package's docstring for how it is driven."""

from collections.abc import Mapping

from cooee.client.e2ee.draft import Draft
from cooee.client.e2ee.results import Diagnostics, Person, Standing
from cooee.client.e2ee.wants import Want
from cooee.crypto.primitives import Random
from cooee.domain.ids import DeviceRef
from cooee.protocol import frames


class Agent:
    """All end-to-end encryption of this device. Its state is what was installed last; nothing here does I/O."""

    def __init__(self, me: DeviceRef, records: Mapping[tuple[str, str], bytes], random: Random) -> None:
        """Take what the store has; nothing: a device that begins. Records are parsed when they are needed."""
        raise NotImplementedError

    def draft(self, now: int) -> Draft:
        """Begin a step. Only the draft made last may be installed, and only once."""
        raise NotImplementedError

    # --- what is to be done

    def has_work(self, now: int) -> bool:
        """Tell whether `Draft.work` has something to do now."""
        raise NotImplementedError

    def next_due(self, now: int) -> int | None:
        """Return when to look again (`has_work`, `wants`, `outgoing`), None: not before something happens."""
        raise NotImplementedError

    def wants(self, now: int) -> list[Want]:
        """Return what is to be done outside, each once; answer all with `Draft.got` or `Draft.failed`.

        At most 8 are given at a time: call again after each answer.
        """
        raise NotImplementedError

    def outgoing(self, limits: frames.WireLimits) -> list[frames.ToDeviceSend]:
        """Return ``to_device`` frames to send on this connection, in order, each once; all stored already.

        Each ends with `Draft.to_device_acked` or `Draft.to_device_refused`. Not answered ones come again after
        `reconnected`, with the same ``clientMessageId``. At most 4 are under way at a time.
        """
        raise NotImplementedError

    def reconnected(self, now: int) -> None:
        """A new connection is there (`welcome` came): what was not answered is wanted, and sent, again.

        The own list and the stock of keys are looked at again. Changes nothing that is stored.
        """
        raise NotImplementedError

    # --- what is known

    @property
    def standing(self) -> Standing:
        """How this device stands."""
        raise NotImplementedError

    def person(self, user_id: str) -> Person:
        """Return what is known of a user; of oneself too."""
        raise NotImplementedError

    def own_account_key(self) -> bytes | None:
        """Return the 32 public bytes of the own account key, None while this device is not linked."""
        raise NotImplementedError

    def diagnostics(self, now: int) -> Diagnostics:
        """Return how it fares; nothing secret."""
        raise NotImplementedError
