#!/usr/bin/env bash
# Rebuilds the files of a model from its registry with crane, jq and GNU coreutils, without Ballast.
# Usage: rebuild.sh REF FOLDER      (CRANE="crane --insecure" for a registry without TLS)
set -euo pipefail
ref=$1 out=$2 crane=${CRANE:-crane}
name=${ref%%@*} && last=${name##*/} && repo=${name%"$last"}${last%%:*}
mkdir -p "$out" && tmp=$(mktemp -d) && trap 'rm -rf "$tmp"' EXIT
fetch() { $crane blob "$repo@$1" >"$2" && sha256sum --quiet -c <<<"${1#sha256:}  $2"; }

fetch "$($crane manifest "$ref" | jq -r '.layers[0].digest')" "$tmp/index"
while IFS= read -r -d '' path; do
  file=$out/$path && mkdir -p "${file%/*}" && : >"$file"
done < <(jq -j '.files[] | .path + "\u0000"' "$tmp/index")
for layer in $(jq -r '.layers | keys[]' "$tmp/index"); do
  fetch "$(jq -r ".layers[$layer].digest" "$tmp/index")" "$tmp/layer"
  while IFS= read -r -d '' path && read -r skip count seek; do
    dd if="$tmp/layer" of="$out/$path" bs=1M conv=notrunc status=none skip="$skip" count="$count" \
      seek="$seek" iflag=skip_bytes,count_bytes oflag=seek_bytes
  done < <(jq -j --argjson layer "$layer" '.files[] | .path as $path | foreach .chunks[] as $c (0;
    . + $c[1]; select($c[2] == $layer) | "\($path)\u0000\($c[3]) \($c[1]) \(. - $c[1])\n")' "$tmp/index")
done
