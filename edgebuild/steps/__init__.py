"""The programs that edgebuild runs as steps: ``python -m edgebuild.steps.<step>``.

Each one is a process with an argv, reads only the paths it is given, writes only the paths it is given
(relative to its working directory), and exits 0 only when every output is complete. Nothing in the core
imports from here, so the core never imports torch or onnx.
"""
