#!/usr/bin/env bash
# The Python of the executors of a standalone cluster. standalone.sh sends this script with the packed
# environment; the first executor that needs the environment unpacks it beside the script.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
if [[ ! -e $here/environment ]]; then
    exec 9>"$here/environment.lock"
    flock 9
    if [[ ! -e $here/environment ]]; then
        rm -rf "$here/environment.part" && mkdir "$here/environment.part"
        tar -xzf "$here/environment.packed" -C "$here/environment.part"
        mv "$here/environment.part" "$here/environment"
        rm "$here/environment.packed"
    fi
    exec 9>&-
fi
exec "$here/environment/bin/python" "$@"
