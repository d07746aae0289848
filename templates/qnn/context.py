"""Compile an ONNX model for Qualcomm's HTP: the result is an ONNX file that holds a context binary.

Runs in this toolchain's own Python environment. Everything has to run on the HTP; what does not is an error.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

PROVIDER = "QNNExecutionProvider"


def main() -> None:
    """Read the arguments, compile, and say what came out."""
    options = _parse()
    import onnxruntime
    import onnxruntime_qnn

    print(
        f"ONNX Runtime {onnxruntime.__version__}, onnxruntime-qnn {onnxruntime_qnn.__version__}", flush=True
    )
    onnxruntime.register_execution_provider_library(PROVIDER, onnxruntime_qnn.get_library_path())
    device = next(one for one in onnxruntime.get_ep_devices() if one.ep_name == PROVIDER)
    settings = onnxruntime.SessionOptions()
    for key, value in {
        "session.disable_cpu_ep_fallback": "1",
        "ep.context_enable": "1",
        "ep.context_embed_mode": "1",
        "ep.context_file_path": str(options.output),
    }.items():
        settings.add_session_config_entry(key, value)
    provider = {
        "backend_path": onnxruntime_qnn.get_qnn_htp_path(),
        "htp_arch": str(options.htp_arch),
        "soc_model": str(options.soc_model),
        "htp_graph_finalization_optimization_mode": str(options.optimization),
    }
    if options.vtcm_mb:
        provider["vtcm_mb"] = str(options.vtcm_mb)
    provider |= dict(pair.split("=", 1) for pair in options.set)
    settings.add_provider_for_devices([device], provider)
    try:
        onnxruntime.InferenceSession(str(options.model), settings)
    except Exception as error:  # noqa: BLE001 - its classes are not public, and its text is what counts
        print(f"not compiled: {error}")
        sys.exit(1)
    check(options.output)
    print(f"written: {options.output.name}, {options.output.stat().st_size} bytes")


def check(file: Path) -> None:
    """Make sure that the result is one context and nothing else."""
    import onnx

    types = [node.op_type for node in onnx.load(file).graph.node]
    print(f"operators: {' '.join(types)}")
    if types != ["EPContext"]:
        print("the result is not one context")
        sys.exit(1)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--model", type=Path, required=True, help="the QDQ or float ONNX file")
    parser.add_argument("--htp-arch", type=int, required=True, help="generation of the Hexagon processor")
    parser.add_argument("--soc-model", type=int, required=True, help="the chip's number")
    parser.add_argument("--optimization", type=int, choices=(1, 2, 3), required=True)
    parser.add_argument("--vtcm-mb", type=int, default=0)
    parser.add_argument("--output", type=Path, required=True, help="where to write the result")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="option of the provider"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
