#!/bin/sh
# Builds the MongoDB server of the tests: FerretDB, and the PostgreSQL with the
# DocumentDB extension that it stands on, in a Debian of their own.
#
#	sh build.sh FOLDER SUITE POSTGRESQL FERRETDB
#
# FOLDER comes into being as a whole or not at all.  Needs root and
# debootstrap; what it mounts, it mounts for itself alone, and what it starts
# ends with it.

set -eu

folder=$1 suite=$2 postgresql=$3 ferretdb=$4
default_mirror=http://deb.debian.org/debian

if [ "${NOMPD_IS_ALONE:-}" != yes ]; then
	NOMPD_IS_ALONE=yes exec unshare --mount --propagation private \
	    --pid --fork --kill-child sh "$0" "$@"
fi

# Whence this machine has its packages, if that is a Debian mirror.
mirror=$(sed -n 's/^URIs: *\([^ ]*\).*/\1/p' \
    /etc/apt/sources.list.d/debian.sources 2>/dev/null | head -n 1)
mirror=${mirror:-$default_mirror}

partial=$folder.partial
root=$partial/root
rm -rf "$partial"
mkdir -p "$partial"

in_root()
{
	chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp \
	    LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"
}

install_packages()
{
	in_root apt-get -q install -y --no-install-recommends "$@"
}

echo "building: Debian $suite"
script=/usr/share/debootstrap/scripts/$suite
[ -e "$script" ] || script=/usr/share/debootstrap/scripts/sid
debootstrap --variant=minbase "$suite" "$root" "$mirror" "$script"
cp /etc/resolv.conf /etc/hosts "$root/etc/"
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
mkdir -p "$root/etc/postgresql-common"
echo 'create_main_cluster = false' \
    >"$root/etc/postgresql-common/createcluster.conf"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"

echo "building: PostgreSQL $postgresql with DocumentDB"
install_packages "postgresql-$postgresql-documentdb"

echo "building: FerretDB $ferretdb"
install_packages golang-go
# The module proxy is whom this machine trusts, on the machine's own word.
cp /etc/ssl/certs/ca-certificates.crt "$root/tmp/ca.pem"
in_root CGO_ENABLED=0 GOTOOLCHAIN=local GOPATH=/tmp/go GOCACHE=/tmp/cache \
    GOBIN=/usr/local/bin SSL_CERT_FILE=/tmp/ca.pem \
    ${GOPROXY:+"GOPROXY=$GOPROXY"} \
    go install "github.com/FerretDB/FerretDB/v2/cmd/ferretdb@v$ferretdb"

# What only the building needed.
chmod -R u+w "$root/tmp"
rm -rf "$root/tmp/go" "$root/tmp/cache" "$root/tmp/ca.pem"
in_root apt-get -q purge -y --autoremove golang-go
rm -rf "$root/var/cache/apt" "$root/var/lib/apt/lists"
mkdir -p "$root/srv/pg" "$root/var/cache/apt"

umount -R "$root/dev" "$root/proc"
mv "$partial" "$folder"
