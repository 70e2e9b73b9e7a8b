#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
#
# A native program of a machine that is played: asks the model for the answer. It is one short shell script because a
# check starts thirty of them. The question is one write of less than PIPE_BUF bytes, so that two never mix.
answer=$STANDIN_DIRECTORY/$$
mkfifo "$answer" || exit 70
printf '%s\0' "$#" "$answer" "${0##*/}" "$@" >"$STANDIN_DIRECTORY/questions"
read -r code <"$answer"
cat "$answer.out"
[ -s "$answer.err" ] && cat "$answer.err" >&2
rm -f "$answer" "$answer.out" "$answer.err"
exit "$code"
