#!/bin/sh
# All rows at full scale with three seeds, in steps of at most ten minutes each. Start it again at
# any time: what is done is skipped, and an interrupted step goes on where it was.
set -u
here=$(dirname "$0")
python=${PYTHON:-python}
[ -f runs/cifar10/full/data/sets.json ] || "$python" "$here/prepare.py" --scale full || exit
while :; do
    "$python" "$here/run.py" all --scale full --seed 0 1 2 --budget-s 540
    code=$?
    [ "$code" -eq 75 ] || break
done
[ "$code" -eq 0 ] && "$python" "$here/table.py"
exit "$code"
