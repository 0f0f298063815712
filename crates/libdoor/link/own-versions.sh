#!/bin/sh
# Runs a step of the C compiler's, given by its -wrapper option, without the list of exported names that rustc writes: that list
# cannot stand beside a version script, and libdoor.map takes its place.
for argument; do
    shift
    case $argument in
        --version-script=*/rustc*) ;;
        *) set -- "$@" "$argument" ;;
    esac
done
exec "$@"
