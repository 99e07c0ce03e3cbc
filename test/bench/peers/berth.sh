# Berth beside its peers: sourced by the peer bench (PEERS names this directory, CHECKOUT the source tree).
SUITE=${BERTH_SUITE:-bookworm} CG=hybrid SHOTS="none net userns" OSNET=1
export CELL_BIND=${CHECKOUT:?the source tree}:/srv/berth
API=berth SOCK=/run/berth/berth.sock DRIVER=$PEERS/berth.py MONITOR=conmon
B=/srv/berth/berth
up() {
  cell_q $P $B version && cell_q $P $B list && return 0
  cell_q $P sh -c 'command -v crun conmon nft dnsmasq ip >/dev/null || apt-get install -y --no-install-recommends crun conmon nftables dnsmasq-base iproute2 erofs-utils uidmap kmod busybox-static e2fsprogs libatomic1'
  cell_bg $P daemon $B daemon --root /var/lib/berth --run /run/berth; wait_for cell $P $B list || return 1
  local i; for i in busybox tool; do cell_q $P $B image get $i || cell_q $P $B image import /lab/image/$i.tar --as $i || return 1; done
}
net_() { case $1 in none) echo --network none ;; esac; }
x_version() { C=($B version); }
x_run()     { C=($B run --rm $(net_ $1) busybox true); }
x_start()   { local n=$1 net=$2 img=$3; shift 3; C=($B run -d --name $n $(net_ $net) $img "$@"); }
x_exec()    { local n=$1; shift; C=($B exec $n "$@"); }
x_stop()    { C=($B stop $1); }
x_again()   { C=($B start $1); }
x_rm()      { C=($B rm -f $1); }
x_list()    { C=($B ps -a); }
x_import()  { C=($B image import /lab/image/v$1.tar --as 127.0.0.1:5000/$P:$1); }
x_pull()    { C=($B image pull 127.0.0.1:5000/debian:$1); }
x_push()    { C=($B image push 127.0.0.1:5000/$P:$1); }
x_unimage() { C=($B image delete 127.0.0.1:5000/$2:$1); }
