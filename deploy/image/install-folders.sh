#!/bin/sh
# `install -d -o OWNER -g GROUP -m MODE FOLDER...`: all that manifests call of a program that the
# shell's own tools do not have. The folder gets its mode last, so it is never open to more.
set -eu

owner='' group='' mode=0755 folders=''
while getopts do:g:m: flag; do
  case $flag in
    d) folders=yes ;;
    o) owner=$OPTARG ;;
    g) group=$OPTARG ;;
    m) mode=$OPTARG ;;
    *) exit 2 ;;
  esac
done
shift $((OPTIND - 1))
if [ -z "$folders" ] || [ $# -eq 0 ]; then
  echo 'install: only makes folders here: install -d [-o OWNER] [-g GROUP] [-m MODE] FOLDER...' >&2
  exit 2
fi
mkdir -p -- "$@"
[ -z "$owner$group" ] || chown "$owner:$group" -- "$@"
chmod "$mode" -- "$@"
