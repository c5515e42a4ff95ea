"""Everything of push notifications, put together from ports: who is to be told, how fast, and by which way."""

from cooee.app.ports import Ports
from cooee.domain.push import PushSettings
from cooee.services.push import PushService
from cooee.services.push_clearing import ClearingStores, PushClearing
from cooee.services.push_facts import PushFacts, PushSources
from cooee.services.push_lanes import PushLanes
from cooee.services.push_pace import PushPace, WantedPushes
from cooee.workers.notifier import Notifier, NotifierParts


class Pushes:
    """The services and the worker of push notifications; ``queue`` is where live delivery hands over."""

    def __init__(self, ports: Ports, settings: PushSettings) -> None:
        clock = ports.clock
        self.lanes = PushLanes(ports.push_senders, clock, settings)
        self.service = PushService(ports.push_targets, self.lanes, clock, settings)
        pace = PushPace(clock, settings)
        self.queue = WantedPushes(ports.push_queue, self.service.wants, pace, clock)
        sources = PushSources(
            ports.accounts,
            ports.devices,
            ports.groups,
            ports.timeline,
            ports.cursors,
            ports.preferences,
            ports.sessions,
            ports.push_targets,
            clock,
        )
        facts = PushFacts(sources, settings.give_up_s)
        self.clearing = PushClearing(
            ClearingStores(self.queue, ports.push_targets, ports.timeline, ports.sessions, clock),
            facts,
            self.lanes,
            self.service.wants,
            settings,
        )
        parts = NotifierParts(facts, self.lanes, pace, self.clearing)
        self.notifier = Notifier(self.queue, ports.push_targets, parts, clock, settings)
