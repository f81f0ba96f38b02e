"""On which device the next job begins."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a job may begin now: one of ``devices``, which are equally good.

    ``alone`` says whether it is for a job that is to have its device to itself.
    """

    devices: tuple[str, ...]
    alone: bool


@dataclass(frozen=True, slots=True)
class Placement:
    """What runs on which of some devices, up to ``per_device`` on each.

    ``running`` has for each job its device, and whether it has that to itself.
    """

    devices: tuple[str, ...]
    per_device: int
    running: tuple[tuple[str, bool], ...] = ()

    def spot(self, *, alone_waits: bool, others_wait: bool) -> Spot | None:
        """Return where a job may begin, by what kinds of jobs wait; None where none can.

        One that is to be alone takes an empty device. While there is none, the device that has the
        fewest jobs takes no more: it will be empty, however many others wait.
        """
        count = dict.fromkeys(self.devices, 0)
        for device, _ in self.running:
            count[device] += 1
        fewest = min(self.devices, key=count.__getitem__)
        if alone_waits and count[fewest] == 0:
            return Spot((fewest,), alone=True)
        if not others_wait:
            return None
        closed = {device for device, alone in self.running if alone}
        if alone_waits:
            closed.add(fewest)
        open_ = [d for d in self.devices if d not in closed and count[d] < self.per_device]
        if not open_:
            return None
        least = min(count[device] for device in open_)
        return Spot(tuple(d for d in open_ if count[d] == least), alone=False)
