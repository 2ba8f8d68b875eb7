"""Writes tensorboard.tfevents: what TensorBoard's own writer makes of the records of the test in tensorboard.rs, and looks
that TensorBoard reads it.

Run:  pip install tensorboard==2.21.0
      python make_tensorboard.py
"""

from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

PATH = Path(__file__).with_name("tensorboard.tfevents")


def event(wall_time, step, **values):
    named = [Summary.Value(tag=tag.replace("__", "/"), simple_value=value) for tag, value in values.items()]
    return Event(wall_time=wall_time, step=step, summary=Summary(value=named))


with PATH.open("wb") as file:
    writer = RecordWriter(file)
    for record in [
        Event(wall_time=1.5, file_version="brain.Event:2"),
        event(2.0, 0, train__stage=0),
        event(2.5, 1, train__loss=2.25, train__grad_norm=0.5, train__flops=3e9),
        event(3.0, 1, eval__accuracy=50.0, eval__mean=50.0, test__accuracy=40.0, test__mean=40.0),
        event(4.0, 300, eval_partial__accuracy=0.0, eval_partial__mean=0.0),
    ]:
        writer.write(record.SerializeToString())
    writer.flush()

read = EventAccumulator(str(PATH))
read.Reload()
assert [(e.step, e.value) for e in read.Scalars("train/loss")] == [(1, 2.25)]
assert [(e.step, e.value) for e in read.Scalars("eval_partial/mean")] == [(300, 0.0)]
print(PATH, PATH.stat().st_size, "bytes", sorted(read.Tags()["scalars"]))
