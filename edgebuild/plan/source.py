"""Where a recipe joins the common chain: the source names of a recipe, and the actions that make them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edgebuild.plan import chain
from edgebuild.plan import search as search_plan
from edgebuild.plan.fit import CALIBRATED_SOURCES
from edgebuild.plan.limits import ONNX_SOURCES, fitted_export, look_arguments, needs_look
from edgebuild.plan.own_step import FileRef, Ref
from edgebuild.plan.quantization import (
    dynamic_label,
    float16_label,
    resolve_for,
    variant_label,
    wide_activations,
    without_decode,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgebuild.action import Action
    from edgebuild.manifest.values import Export, Manifest, Quantize, Target
    from edgebuild.toolchain.load import Recipe, Toolchain


class Sources:
    """What a recipe can read, made on demand: the common chain's products and earlier vendor steps.

    Args:
        add: Takes an action into the plan and returns its id.
        manifest: The manifest.
        target: The target that reads.
        toolchain: Its toolchain.
        cpu: This machine's CPU family, for a target that names none.
        recipe: The target's recipe; None: the default one.
        head: Where the model ends that the recipe reads.
    """

    def __init__(  # noqa: PLR0913 - what a recipe can read depends on all of these
        self,
        add: Callable[[Action], str],
        manifest: Manifest,
        target: Target,
        toolchain: Toolchain,
        cpu: str,
        *,
        recipe: Recipe | None = None,
        head: str = "full",
    ) -> None:
        self._add = add
        self._manifest = manifest
        self._target = target
        self._toolchain = toolchain
        types = resolve_for(target.quantize, target.cpu or cpu, toolchain.qdq)
        self._types = without_decode(types) if head == "cut" else types
        self._head = head
        self._recipe = recipe
        self.export = fitted_export(manifest, target, toolchain, recipe or toolchain.default_recipe, head)
        self._steps: dict[str, Action] = {}
        self.used: set[str] = set()
        self.searched = ""

    def add_step(self, action: Action) -> None:
        """Note a vendor's step, so that later ones can read it."""
        self._add(action)
        self._steps[action.step] = action

    def read(self, name: str) -> Ref | FileRef:
        """Return a source for a vendor's step, which may also read the model's weights."""
        if name == "weights":
            return self._weights()
        ref = self.get(name)
        if name not in ONNX_SOURCES or not needs_look(self._manifest, self._toolchain):
            return ref
        done = self._add(chain.look(self._target, self._toolchain.name, look_arguments(self._toolchain), ref))
        return Ref(action=done, output="model", name="model.onnx")

    def get(self, name: str) -> Ref:
        """Return a source that an action makes, by the name that recipes use.

        Raises:
            KeyError: No such source; a toolchain is checked for that when it is loaded.
        """
        step, dot, output = name.partition(".")
        if dot:
            action = self._steps[step]
            found = action.output(output)
            return Ref(action=action.id, output=output, name=found.path.rpartition("/")[2], tree=found.tree)
        makers = {
            "onnx": self.model,
            "info": self.info,
            "fp16": self._float16,
            "dynamic": self._dynamic,
            "qdq": lambda: self._quantized(self._types, naive=False),
            "qdq_w8a16": lambda: self._quantized(wide_activations(self._types), naive=False),
            "qdq_naive": lambda: self._quantized(self._types, naive=True),
            "calibration": self._calibration,
        }
        return makers[name]()

    def onnx(self, batch: int) -> Ref:
        """Return the float ONNX for a batch size, exported as it fits the target."""
        return self._exported(batch, self.export)

    def reference(self, batch: int = 1) -> tuple[Ref, Ref, str]:
        """Return the float model that the target is compared with, its description, and its label.

        It is exported as the manifest says, but with the target's head: the two heads of a model have
        weights of their own, and the difference between them is no loss of the target's.

        Args:
            batch: Images per call.
        """
        asked = self._manifest.model.export
        same = replace(asked, end2end=self.export.end2end)
        model = self._exported(batch, same)
        info = Ref(action=model.action, output="info", name="model.json")
        return model, info, chain.export_label(asked, same, batch)

    def _exported(self, batch: int, settings: Export) -> Ref:
        if self._manifest.model.train is not None:
            self._add(chain.train(self._manifest, self._target))
        done = self._add(chain.export(self._manifest, self._target, batch, settings))
        return Ref(action=done, output="model", name="model.onnx")

    def model(self) -> Ref:
        """Return the float ONNX with the target's batch and the recipe's head."""
        exported = self.onnx(self._target.batch)
        if self._head == "full":
            return exported
        info = Ref(action=exported.action, output="info", name="model.json")
        done = self._add(chain.head(self._target, self._head, exported, info, self._variant()))
        return Ref(action=done, output="model", name="model.onnx")

    def info(self) -> Ref:
        """Return the description of the recipe's model."""
        return Ref(action=self.model().action, output="info", name="model.json")

    def _variant(self) -> str:
        """Return what sets the target's model apart from the one that most targets read."""
        head = [] if self._head == "full" else [self._head]
        parts = head if self._target.batch == 1 else [f"b{self._target.batch}", *head]
        return self._named(f"@{'-'.join(parts)}" if parts else "")

    def _named(self, label: str) -> str:
        """Return a label with what sets the target's export apart from that of the manifest, if anything."""
        parts = chain.fitted_parts(self._manifest.model.export, self.export)
        words = [*parts, label.removeprefix("@")] if label else parts
        return f"@{'-'.join(words)}" if words else ""

    def _weights(self) -> Ref | FileRef:
        if self._manifest.model.train is not None:
            self._add(chain.train(self._manifest, self._target))
        return chain.weights(self._manifest)

    def _calibrate(self) -> tuple[Ref, Ref]:
        done = self._add(chain.calibrate(self._manifest, self._target))
        self.used.add("calibrate")
        return (
            Ref(action=done, output="tensors", name="calibration.npy"),
            Ref(action=done, output="selection", name="calibration.json"),
        )

    def _calibration(self) -> Ref:
        need = self._toolchain.calibration
        assert need is not None  # noqa: S101 - a toolchain is checked for that when it is loaded
        done = self._add(chain.calibration_format(self._target, need.format, *self._calibrate()))
        return Ref(action=done, output="calibration", name="calibration", tree=True)

    def _prepared(self) -> Ref:
        done = self._add(chain.preprocess(self._target, self.model(), self._variant()))
        return Ref(action=done, output="model", name="model.onnx")

    def _float16(self) -> Ref:
        label = float16_label(self._types, batch=self._target.batch, head=self._head)
        done = self._add(chain.float16(self._target, self._types, self.model(), self._named(label)))
        return Ref(action=done, output="model", name="model.onnx")

    def _dynamic(self) -> Ref:
        label = dynamic_label(self._types, batch=self._target.batch, head=self._head)
        done = self._add(chain.dynamic(self._target, self._types, self._prepared(), self._named(label)))
        return Ref(action=done, output="model", name="model.onnx")

    def _quantized(self, types: Quantize, *, naive: bool) -> Ref:
        batch, head = self._target.batch, self._head
        tensors, _ = self._calibrate()
        model = self._prepared()
        if types.mixed_precision is not None and not naive:
            return self._searched(types, model, tensors)
        method = variant_label(types, batch=batch, ranges_only=True, head=head)
        measured = self._add(chain.ranges(self._target, types, model, tensors, self._named(method)))
        ranges = Ref(action=measured, output="ranges", name="ranges.json")
        pairs = self._toolchain.qdq.style == "pairs"
        label = self._named(variant_label(types, batch=batch, naive=naive, pairs=pairs, head=head))
        quantized = chain.quantize(self._target, types, model, ranges, label, naive=naive, pairs=pairs)
        done = self._add(quantized)
        return Ref(action=done, output="model", name="model.onnx")

    def choice(self) -> Ref | None:
        """Return what a search found to keep float, for a vendor's own quantizer; None: there is none."""
        calibrates = self._recipe is not None and CALIBRATED_SOURCES & set(self._recipe.sources)
        if self._types.mixed_precision is None or not calibrates:
            return None
        tensors, _ = self._calibrate()
        self._searched(self._types, self._prepared(), tensors)
        return Ref(action=self.searched, output="choice", name="choice.json")

    def _searched(self, types: Quantize, model: Ref, tensors: Ref) -> Ref:
        pairs = self._toolchain.qdq.style == "pairs"
        label = self._named(search_plan.search_label(self._target, types, pairs=pairs, head=self._head))
        refs = {"model": model, "float": self.model(), "info": self.info(), "calibration": tensors}
        action = search_plan.search(self._manifest, self._target, types, refs, label, pairs=pairs)
        self.searched = self._add(action)
        made = search_plan.quantize(self._target, types, model, self.searched, label, pairs=pairs)
        return Ref(action=self._add(made), output="model", name="model.onnx")
