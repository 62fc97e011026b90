#!/bin/sh
# The WRN-40-2 rows with three seeds, on a GPU, in steps of at most ten minutes. Start it again at any
# time: what is done is skipped, and an interrupted step goes on where it was.
here=$(dirname "$0") python=${PYTHON:-python} code=75
[ -f runs/papers/cifar10/sets.json ] || "$python" "$here/prepare.py" || exit
while [ "$code" -eq 75 ]; do
    "$python" "$here/run.py" wrn --seed 0 1 2 --budget-s 540
    code=$?
done
[ "$code" -eq 0 ] && "$python" "$here/table.py"
exit "$code"
