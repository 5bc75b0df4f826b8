#!/bin/sh
# What Lambda starts (the function's handler): the application, on the port where the Lambda Web Adapter expects it. The code's own
# libraries come first, the runtime's after them. `exec` leaves no shell behind, so signals reach the application.
root=${LAMBDA_TASK_ROOT:-/var/task}
export PORT="${AWS_LWA_PORT:-${PORT:-8080}}"
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}${LAMBDA_RUNTIME_DIR:+:$LAMBDA_RUNTIME_DIR}"
exec python3 -m functions.chat_stream
