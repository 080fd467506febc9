#!/usr/bin/env bash
# Measures this project on an NVIDIA card in at most six minutes and writes benchmarks/results/render_cuda_<card>.{json,md}:
#   bash benchmarks/device.sh [--reference CHECKOUT_OF_LIVEPORTRAIT] [--budget SECONDS]
# Needs a Python with a torch that matches the driver ($PYTHON, else .venv, else python3) and the packages of
# requirements.txt. What is missing is left out and named in the table. See benchmarks/device.py.
set -euo pipefail
cd "$(dirname "$0")/.."

python="${PYTHON:-}"
if [ -z "$python" ]; then
  python=python3
  [ -x .venv/bin/python ] && python=.venv/bin/python
fi
if ! "$python" -c "import torch" 2>/dev/null; then
  echo "device.sh: $python has no torch; please install a build that matches the driver, or set PYTHON." >&2
  exit 2
fi
export PYTHONUNBUFFERED=1
exec "$python" -m benchmarks.device "$@"
