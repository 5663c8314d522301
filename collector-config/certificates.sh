#!/bin/sh
# An authority of this installation's own, and certificates of ClickHouse and the Collector signed by it, in the directory
# given. What is there already is left as it is: put your own there instead (ca.crt, NAME.crt with its chain, NAME.key).
set -eu
umask 077
cd "$1"

[ -f ca.crt ] || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 \
    -subj "/CN=promptspan" -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign" \
    -keyout ca.key -out ca.crt 2>/dev/null

# The name by which the others reach it, and who runs it.
issue() {
    if [ ! -f "$1.crt" ]; then
        openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" \
            -keyout "$1.key" -out "$1.csr" 2>/dev/null
        printf 'subjectAltName=DNS:%s,DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n' "$1" > "$1.ext"
        openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 825 -extfile "$1.ext" \
            -out "$1.crt" 2>/dev/null
        rm "$1.csr" "$1.ext"
        # Only root can give files away; elsewhere one user runs everything.
        if [ "$(id -u)" = 0 ]; then chown "$2" "$1.key"; fi
    fi
}
issue clickhouse 101
issue collector 10001
chmod 755 .
chmod 644 ca.crt clickhouse.crt collector.crt
