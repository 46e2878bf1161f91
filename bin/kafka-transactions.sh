#!/bin/sh
exec "$(dirname -- "$(readlink -f -- "$0")")/gregor" transactions "$@"
