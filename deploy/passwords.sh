#!/bin/sh
# Makes what compose.secure.yaml needs, once: a password for each user of Kafka and the installation's key of calls,
# in deploy/.env, which only its owner reads.
set -eu
file="$(dirname "$0")/.env"
if [ -e "$file" ]; then
    echo "$file exists: remove it to have new passwords made, while nothing runs" >&2
    exit 1
fi
random() {
    od -An -N32 -tx1 /dev/urandom | tr -d ' \n'
}
umask 077
{
    for user in ADMIN DEPLOYER ORCHESTRATOR PLANNER TOOL_SELECTOR TOOL_EXECUTOR EVALUATOR RECOVERY MONITORS \
        SESSION_RECORDER OPERATOR CLIENT; do
        echo "KAFKA_PASSWORD_$user=$(random)"
    done
    echo "ORCHESTRATOR_CALL_KEYS=$(random)"
} >"$file"
