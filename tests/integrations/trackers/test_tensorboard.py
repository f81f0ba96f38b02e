"""TensorBoard: folders that are read back by its own reader of events."""

from pathlib import Path

import pytest

from tests.integrations.trackers.contract import Seen, TrackerContract, a_run

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


class TestTensorBoard(TrackerContract):
    library, good, bad, stopped = "tensorboard", "SUCCESS", "FAILURE", "FAILURE"

    @pytest.fixture
    def target(self, tmp_path):
        return f"tensorboard:{tmp_path / 'logs'}"

    def folder_of(self, target, sweep="toy"):
        return Path(target.partition(":")[2]) / sweep

    def events(self, folder):
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        found = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
        return found.Reload()

    def runs(self, target, sweep="toy"):
        folders = [
            one
            for one in self.folder_of(target, sweep).iterdir()
            if one.name.startswith(f"{sweep}-")
        ]
        return [self.seen(folder) for folder in sorted(folders)]

    def seen(self, folder):
        from tensorboard.plugins.hparams import metadata
        from tensorboard.plugins.hparams.api_pb2 import Status

        (file,) = folder.iterdir()
        events = self.events(folder)
        of_hparams = events.PluginTagToContent("hparams")
        begins = metadata.parse_session_start_info_plugin_data(
            of_hparams[metadata.SESSION_START_INFO_TAG]
        )
        ends = metadata.parse_session_end_info_plugin_data(
            of_hparams[metadata.SESSION_END_INFO_TAG]
        )
        scalars = {tag: events.Scalars(tag) for tag in events.Tags()["scalars"]}
        curve = [(point.step, point.value) for point in scalars.pop("perf", [])]
        return Seen(
            key=file.name.split(".")[-2],
            status=Status.Name(ends.status).removeprefix("STATUS_"),
            config={name: hparam(value) for name, value in begins.hparams.items()},
            tags=self.texts(events),
            numbers={tag: points[-1].value for tag, points in scalars.items()},
            curve=curve,
        )

    def texts(self, events):
        found = events.PluginTagToContent("text")
        return {tag: events.Tensors(tag)[-1].tensor_proto.string_val[0].decode() for tag in found}

    def verdicts(self, target, sweep="toy", scope=""):
        folder = self.folder_of(target, sweep) / (f"verdicts-{scope}" if scope else "verdicts")
        assert len([*folder.iterdir()]) == 1
        return self.texts(self.events(folder))

    def harm(self, target):
        """A file is renamed once it is complete: what is left is a part of it."""
        (file,) = self.folder_of(target).glob("toy-*/events*")
        file.rename(file.with_name(f".{file.name.removeprefix('events.out.tfevents.')}.1.part"))

    def test_what_a_killed_session_left_is_written_whole(self, target):
        self.write(target, a_run())
        (whole,) = self.runs(target)
        self.harm(target)
        self.write(target, a_run())
        (left,) = self.folder_of(target).glob("*/.*.part")
        left.unlink()
        assert self.runs(target) == [whole]


def hparam(value):
    kind = value.WhichOneof("kind")
    return str(getattr(value, kind))
