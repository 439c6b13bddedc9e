#!/bin/sh
# Makes the secrets that compose.yaml asks for, in a folder of their own (default: secrets, beside this file): passwords
# in secrets.env, the S3 store's identities, one certificate that Dask's scheduler, workers and clients share, and one
# for the dashboard, which browsers will ask about, since nobody vouches for it.
set -eu
folder=${1:-$(dirname "$0")/secrets}

fail() { echo "make_secrets: $1" >&2; exit 1; }
random() { openssl rand -hex 24; }

command -v openssl >/dev/null || fail "openssl was expected on the PATH; install it, then run this again"
[ ! -e "$folder" ] || fail "$folder is there already, and what runs may use it; move it away to make new secrets"
umask 077
mkdir -p "$folder"

access=$(openssl rand -hex 10)
secret=$(random)
{
    echo "POSTGRES_PASSWORD=$(random)"
    echo "PREFECT_AUTH=sluice:$(random)"
    echo "SLUICE_DASHBOARD_TOKEN=$(random)"
    echo "S3_ACCESS_KEY=$access"
    echo "S3_SECRET_KEY=$secret"
} >"$folder/secrets.env"

actions='["Admin", "Read", "Write", "List", "Tagging"]'
printf '{"identities": [{"name": "sluice", "credentials": [{"accessKey": "%s", "secretKey": "%s"}], "actions": %s}]}\n' \
    "$access" "$secret" "$actions" >"$folder/s3.json"

certificate() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 365 -subj "/CN=$1" \
        -addext "subjectAltName=$2" -keyout "$folder/$3-key.pem" -out "$folder/$3.pem" 2>/dev/null
}
# Dask's is its own authority: whoever has the key may join the cluster, nobody else.
certificate sluice-dask DNS:sluice-dask dask
certificate localhost DNS:localhost,IP:127.0.0.1 dashboard

# Compose mounts these as they are, for a user of another number: the folder keeps others out, not the files.
chmod 644 "$folder"/*.json "$folder"/*.pem
echo "made $folder; now: docker compose --env-file $folder/secrets.env -f $(dirname "$0")/compose.yaml up --build"
