"""Train a YOLO model with Ultralytics: ``python -m edgebuild.steps.train``.

Training is deterministic as far as the device allows it, and the weights carry neither the day nor the
folders of the run, so that equal training gives equal bytes. With ``--resume`` an interrupted attempt in the
same working directory is continued from its last epoch.
"""

from __future__ import annotations

import argparse
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebuild.protocol import TRAIN_TAKEN
from edgebuild.steps._dataset import describe_for_ultralytics, read_dataset
from edgebuild.steps._step import fail, progress, read_json, run_step, write_json
from edgebuild.steps._ultralytics import load_model

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SCHEMA = 1

_RUN = Path("run")
_SETTINGS = _RUN / "edgebuild.json"

_HOST_KEYS = frozenset({"data", "device", "model", "name", "project", "resume", "save_dir", "workers"})
"""Training arguments that say where a model was trained, not how."""

_VOLATILE = frozenset({"date", "git", "train_results"})
"""Entries of a checkpoint that differ between two equal trainings: clock, repository, seconds per epoch."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What a training depends on besides the images.

    Attributes:
        base: Model description (``.yaml``, trained from scratch) or weights (``.pt``, trained further).
        task: detect, segment, pose, classify or obb.
        epochs: How many.
        imgsz: Side of the square training images in pixels.
        seed: Seed of every random choice.
        batch: Images per step.
        device: As Ultralytics names it: cpu, 0, "0,1", mps.
        arguments: Further Ultralytics training arguments.
    """

    base: str
    task: str
    epochs: int
    imgsz: int
    seed: int
    batch: int
    device: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


def main(argv: Sequence[str]) -> None:
    """Read the arguments, train, and write weights and summary."""
    arguments = _parse(argv)
    dataset = read_dataset(arguments.dataset)
    if dataset.task != arguments.task:
        fail(f"{arguments.dataset}: is for task {dataset.task!r}, the model for {arguments.task!r}",
             hint="set model.task to the dataset's")  # fmt: skip
    settings = Settings(
        base=arguments.base, task=arguments.task, epochs=arguments.epochs, imgsz=max(arguments.imgsz),
        seed=arguments.seed, batch=arguments.batch, device=arguments.device,
        arguments=read_arguments(arguments.arguments),
    )  # fmt: skip
    resume = arguments.resume and can_resume(settings)
    if not resume:
        shutil.rmtree(_RUN, ignore_errors=True)
    data = describe_for_ultralytics(
        dataset, into="data", train=arguments.train, validation=arguments.validation
    )
    write_json(_SETTINGS, asdict(settings))
    finished = is_finished() if resume else False
    if not finished:
        run_training(settings, data, resume=resume)
    checkpoint = canonical_checkpoint(best_weights())
    save_checkpoint(checkpoint, arguments.weights)
    write_json(arguments.summary, describe_training(settings, checkpoint, epochs=epochs_done()))


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="edgebuild.steps.train", description=__doc__)
    parser.add_argument("--base", required=True, help="model description (.yaml) or weights (.pt)")
    parser.add_argument("--task", required=True)
    parser.add_argument("--dataset", required=True, help="dataset file")
    parser.add_argument("--train", required=True, help="tree of the training split")
    parser.add_argument("--validation", required=True, help="tree of the validation split")
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--imgsz", nargs=2, type=int, required=True, metavar=("H", "W"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--resume", action="store_true", help="continue an interrupted attempt in this folder"
    )
    parser.add_argument("--arguments", help="JSON file with further Ultralytics arguments")
    parser.add_argument("--weights", required=True, help="where to write the weights")
    parser.add_argument("--summary", required=True, help="where to write what was done")
    return parser.parse_args(argv)


def read_arguments(path: str | None) -> dict[str, Any]:
    """Read further Ultralytics arguments from a JSON object.

    Raises:
        StepFailure: The file is no JSON object, or sets what the manifest sets elsewhere.
    """
    if path is None:
        return {}
    try:
        document = read_json(path)
    except (OSError, ValueError) as error:
        fail(f"{path}: not a JSON file ({error})", hint="it holds the arguments of model.train.args")
    if not isinstance(document, dict):
        fail(f"{path}: holds no JSON object", hint="it holds the arguments of model.train.args")
    taken = sorted(document.keys() & TRAIN_TAKEN)
    if taken:
        fail(
            f"{path}: may not set {', '.join(taken)}",
            hint="these come from model.train or from the step itself",
        )
    return document


def can_resume(settings: Settings) -> bool:
    """Say whether this folder holds an interrupted attempt at the same training."""
    last = _RUN / "weights" / "last.pt"
    if not last.is_file() or not _SETTINGS.is_file():
        return False
    if read_json(_SETTINGS) != asdict(settings):
        print("the interrupted attempt had other settings: training starts anew")
        return False
    if _read_checkpoint(last) is None:
        print(f"{last} was cut short: training starts anew")
        return False
    return True


def is_finished() -> bool:
    """Say whether the interrupted attempt had already trained its last epoch."""
    checkpoint = _read_checkpoint(_RUN / "weights" / "last.pt")
    return checkpoint is not None and checkpoint.get("epoch") == -1


def run_training(settings: Settings, data: str, *, resume: bool) -> None:
    """Train; the result lies in the ``run`` folder.

    Raises:
        StepFailure: Ultralytics cannot train.
    """
    base = _RUN / "weights" / "last.pt" if resume else settings.base
    model = load_model(base, task=settings.task, name=settings.base)

    def after_epoch(trainer: Any) -> None:
        progress(trainer.epoch + 1, settings.epochs, "epochs")

    model.add_callback("on_train_epoch_end", after_epoch)
    on_cpu = settings.device == "cpu"
    # How work is spread over loading processes decides who draws which random number.
    more: dict[str, Any] = {"workers": 0 if on_cpu else 8, **settings.arguments}
    try:
        model.train(
            data=data, epochs=settings.epochs, imgsz=settings.imgsz, seed=settings.seed, batch=settings.batch,
            device=settings.device, deterministic=True, plots=False, amp=not on_cpu, exist_ok=True,
            save_dir=str(_RUN.absolute()), resume=resume, **more,
        )  # fmt: skip
    except Exception as error:  # noqa: BLE001 - torch and Ultralytics raise anything; the reason is what counts
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        fail(f"training failed: {reason}", hint="see the log above")


def best_weights() -> Path:
    """Return the file with the best epoch's weights, or the last epoch's."""
    found = [path for name in ("best.pt", "last.pt") if (path := _RUN / "weights" / name).is_file()]
    if not found:
        fail("training left no weights", hint="the loss may have become NaN: see the log above")
    return found[0]


def epochs_done() -> int:
    """Return how many epochs were trained over all attempts; early stopping makes them fewer."""
    # An epoch that was interrupted while it was saved has two rows, therefore the number and not the rows.
    table = (_RUN / "results.csv").read_text(encoding="utf-8").splitlines()
    return int(float(table[-1].partition(",")[0]))


def canonical_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint and remove what does not follow from the training itself."""
    checkpoint = _read_checkpoint(path)
    if checkpoint is None:
        fail(f"{path}: cannot be read back", hint="the disk may be full")
    kept = {key: value for key, value in sorted(checkpoint.items()) if key not in _VOLATILE}
    kept["train_args"] = _without_host(kept.get("train_args") or {})
    model = kept["model"]
    if isinstance(getattr(model, "args", None), dict):
        model.args = _without_host(model.args)
    if hasattr(model, "pt_path"):
        model.pt_path = None
    return kept


def _without_host(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in sorted(arguments.items()) if key not in _HOST_KEYS}


def save_checkpoint(checkpoint: Mapping[str, Any], path: str) -> None:
    """Write a checkpoint as Ultralytics does."""
    import torch

    Path(path).parent.mkdir(parents=True, exist_ok=True)
    torch.save(dict(checkpoint), path)


def describe_training(settings: Settings, checkpoint: Mapping[str, Any], *, epochs: int) -> dict[str, Any]:
    """Describe the training: settings, epochs done, metrics of the weights, and versions."""
    import torch
    import ultralytics

    metrics = {key: float(value) for key, value in (checkpoint.get("train_metrics") or {}).items()}
    return {
        "schema": SCHEMA,
        "settings": asdict(settings),
        "epochs": epochs,
        "metrics": metrics,
        "versions": {"torch": torch.__version__, "ultralytics": ultralytics.__version__},
    }


def _read_checkpoint(path: Path) -> dict[str, Any] | None:
    """Read a checkpoint of this step's own training; None if it is damaged."""
    import torch
    import ultralytics.nn.tasks  # noqa: F401 - the pickled model refers to it

    try:
        # It is ours, written a moment ago; Ultralytics' format consists of pickled model classes.
        checkpoint = torch.load(path, map_location="cpu", weights_only=False)
    except Exception:  # noqa: BLE001 - a truncated archive raises anything
        return None
    return checkpoint if isinstance(checkpoint, dict) else None


if __name__ == "__main__":
    run_step(main)
