#!/bin/sh
# Prints the path of the Python that set-up uses: $1 when given, else the one .venv was made with, else the first
# of python3.11, python3.12 and python3 on PATH that is a 3.11 or 3.12. One sentence and status 1 when there is none.
probe='import os, sys
if not (3, 11) <= sys.version_info[:2] <= (3, 12): sys.exit(1)
print(os.path.realpath(sys.executable))'
seen=""
for candidate in ${1:-.venv/bin/python python3.11 python3.12 python3 python}; do
    "$candidate" -c "$probe" 2>/dev/null && exit 0
    version=$("$candidate" --version 2>/dev/null) && seen="$seen, but $candidate is $version"
done
echo "Python 3.11 or 3.12 is needed${seen:- and none was found${1:+ at $1}}. Install one, or name it: make run PYTHON=/path/to/python3.12" >&2
exit 1
