# Put each peer into an environment of its own below a folder: sh benchmarks/peers/install.sh FOLDER
# doit is one of edgebuild's own dependencies. olive-ai brings PyTorch.
set -e
for name in snakemake dvc olive-ai; do
  python3 -m venv "$1/${name%-ai}"
  "$1/${name%-ai}/bin/pip" install --quiet "$name"
done
