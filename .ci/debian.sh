# shellcheck shell=bash disable=SC2034
# debian.sh - what ./run and ./check need from Debian; they source it from the project's root.
#
# A package is wanted when neither dpkg knows it as installed nor its tool or library is
# found by other means, so that compilers and libraries from elsewhere are good enough.

# package:probe, where probe is a command, or =NAME for a library known to pkg-config
build_packages='
    gcc:cc libc6-dev:- meson:meson ninja-build:ninja pkgconf:pkg-config
    libcmocka-dev:=cmocka libdeflate-dev:=libdeflate libjansson-dev:=jansson
    libncurses-dev:=ncursesw libopenblas-dev:=openblas libpcre2-dev:=libpcre2-8
    libutf8proc-dev:=libutf8proc libxxhash-dev:=libxxhash libzstd-dev:=libzstd'
check_packages='clang:- libclang-rt-dev:- python3:python3 procps:pgrep tmux:tmux'

say()
{
    printf '%s\n' "$*" >&2
}

installed() # PACKAGE PROBE
{
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ] && return
    case $2 in
    -) return 1 ;;
    =*) pkg-config --exists "${2#=}" 2>/dev/null ;;
    *) command -v "$2" >/dev/null ;;
    esac
}

# Install what is missing of "PACKAGE:PROBE ...", saying so first. Asks nothing from the
# network when all is there.
need_packages()
{
    local entry missing='' sudo=''
    for entry in $1; do
        installed "${entry%%:*}" "${entry#*:}" || missing="$missing ${entry%%:*}"
    done
    [ -n "$missing" ] || return 0
    if ! command -v apt-get >/dev/null; then
        say "This machine has no apt-get, and these Debian packages are not found:$missing"
        say "Going on all the same."
        return 0
    fi
    say "These Debian packages are missing and will now be installed:"
    say "   $missing"
    if [ "$(id -u)" != 0 ]; then
        sudo=sudo
        if ! command -v sudo >/dev/null; then
            say "That needs root, and there is no sudo here. As root, run:"
            say "    apt-get update && apt-get install --no-install-recommends$missing"
            return 1
        fi
    fi
    say "+ ${sudo:+sudo }apt-get update"
    $sudo apt-get update >&2 || say "apt-get update failed; trying with the lists of before."
    say "+ ${sudo:+sudo }apt-get install --yes --no-install-recommends$missing"
    # shellcheck disable=SC2086 # one word a package
    $sudo env DEBIAN_FRONTEND=noninteractive \
        apt-get install --yes --no-install-recommends $missing >&2
}

# Set up a meson build directory unless it is one already: DIR [OPTION...]
set_up()
{
    local dir=$1
    shift
    [ -f "$dir/build.ninja" ] || meson setup "$dir" "$@" >&2
}
